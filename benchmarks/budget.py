"""Accuracy against time: what `budget=` brings on Fashion-MNIST, beside other networks with the same budget.

Nothing is chosen by the test images: the epoch with the best validation score counts, and the config was chosen on
validation rows. The seconds are of training with its validation, log, checkpoints and doctor; not of the test.

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

import torch  # noqa: E402  # only after what must be said before

import yisheng  # noqa: E402


def main(words: list[str]) -> None:
    """Train and print a table, a line as soon as it is there."""
    options = dict(word.split("=", 1) for word in words)
    seeds, data = int(options.get("seeds", 3)), options.get("data", "fashion-mnist")
    name, flags = machine.describe_processor()
    print(f"{name} ({', '.join(flags)}), {machine.count_cores()} cores, torch {torch.__version__}, ", end="")
    print(f"Python {platform.python_version()}, {data}\n")
    print("| budget | network | epochs | training, s | test accuracy, mean ± sd | each seed |")
    print("|---|---|---|---|---|---|", flush=True)
    for budget in options.get("budgets", "1m,5m,15m").split(","):
        for model in options.get("models", "auto").split(","):
            results = [_run(data, model, budget, seed) for seed in range(seeds)]
            print(_line(budget, results), flush=True)


def _run(data: str, model: str, budget: str, seed: int) -> dict[str, object]:
    """One training: the network with its widths, epochs, seconds and accuracy."""
    with tempfile.TemporaryDirectory() as out:
        run = yisheng.train(data=data, model=model, budget=budget, seed=seed, out=out, quiet=True)
        epochs = [
            line
            for line in map(json.loads, (run.path / "events.jsonl").read_text().splitlines())
            if line["event"] == "epoch"
        ]
        described = json.loads((run.path / "model.json").read_text())["model"]
        widths = described["options"].get("widths")
        found = {
            "network": described["name"] + (f" {'-'.join(map(str, widths))}" if widths else ""),
            "epochs": len(epochs),
            "seconds": epochs[-1]["seconds"],
            "accuracy": run.scores["test"]["accuracy"].value,
        }
    print(f"{budget} seed {seed}: {found}", file=sys.stderr, flush=True)
    return found


def _line(budget: str, results: list[dict[str, object]]) -> str:
    """A line of the table: ranges where the runs differ."""
    accuracies = [float(str(result["accuracy"])) for result in results]
    sd = f" ± {statistics.stdev(accuracies):.4f}" if len(accuracies) > 1 else ""
    networks = " / ".join(sorted({str(result["network"]) for result in results}))
    epochs = _range([float(str(result["epochs"])) for result in results])
    seconds = _range([float(str(result["seconds"])) for result in results])
    values = ", ".join(f"{value:.4f}" for value in accuracies)
    return f"| {budget} | {networks} | {epochs} | {seconds} | {statistics.mean(accuracies):.4f}{sd} | {values} |"


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main(sys.argv[1:])
