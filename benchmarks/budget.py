"""Measure accuracy against time: `budget=` on Fashion-MNIST, and other networks with the same budget.

Nothing is chosen on the test images: the epoch with the best validation score counts, and the config was chosen on
validation rows. The seconds include training, validation, log, checkpoints and doctor, but not the evaluation.

    python benchmarks/budget.py [budgets=1m,5m,15m] [models=auto,lenet,resnet18] [seeds=3] [data=fashion-mnist]
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile

from yisheng.core import machine, process

process.prepare()

import torch  # noqa: E402  # after prepare(), which sets environment variables

import yisheng  # noqa: E402


def main(words: list[str]) -> None:
    """Train and print the table, a row after each group of trainings."""
    options = dict(word.split("=", 1) for word in words)
    seeds, data = int(options.get("seeds", 3)), options.get("data", "fashion-mnist")
    name, flags = machine.describe_processor()
    print(f"{name} ({', '.join(flags)}), {machine.count_cores()} cores, torch {torch.__version__}, ", end="")
    print(f"Python {platform.python_version()}, {data}\n")
    print("| budget | network | epochs | training, s | test accuracy, mean ± sd | each seed |")
    print("|---|---|---|---|---|---|", flush=True)
    for budget in options.get("budgets", "1m,5m,15m").split(","):
        for model in options.get("models", "auto").split(","):
            results = [_train(data, model, budget, seed) for seed in range(seeds)]
            print(_format_row(budget, results), flush=True)


def _train(data: str, model: str, budget: str, seed: int) -> dict[str, object]:
    """Train once; return the network with its widths, epochs, seconds and test accuracy."""
    with tempfile.TemporaryDirectory() as out:
        run = yisheng.train(data=data, model=model, budget=budget, seed=seed, out=out, quiet=True)
        epochs = [
            line
            for line in map(json.loads, (run.path / "events.jsonl").read_text().splitlines())
            if line["event"] == "epoch"
        ]
        model_choice = json.loads((run.path / "model.json").read_text())["model"]
        widths = model_choice["options"].get("widths")
        result = {
            "network": model_choice["name"] + (f" {'-'.join(map(str, widths))}" if widths else ""),
            "epochs": len(epochs),
            "seconds": epochs[-1]["seconds"],
            "accuracy": run.scores["test"]["accuracy"].value,
        }
    print(f"{budget} seed {seed}: {result}", file=sys.stderr, flush=True)
    return result


def _format_row(budget: str, results: list[dict[str, object]]) -> str:
    """Return a row of the table, with ranges if the runs differ."""
    accuracies = [float(str(result["accuracy"])) for result in results]
    sd = f" ± {statistics.stdev(accuracies):.4f}" if len(accuracies) > 1 else ""
    networks = " / ".join(sorted({str(result["network"]) for result in results}))
    epochs = _format_range([float(str(result["epochs"])) for result in results])
    seconds = _format_range([float(str(result["seconds"])) for result in results])
    values = ", ".join(f"{value:.4f}" for value in accuracies)
    return f"| {budget} | {networks} | {epochs} | {seconds} | {statistics.mean(accuracies):.4f}{sd} | {values} |"


def _format_range(values: list[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main(sys.argv[1:])
