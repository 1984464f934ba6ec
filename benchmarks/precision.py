"""Compare bfloat16 and channels last with float32: accuracy and time of the same config over many seeds.

    python benchmarks/precision.py [seeds=10] [epochs=3] [model=lenet] [data=fashion-mnist]

Each seed trains twice: in float32 with contiguous memory, and in bfloat16 with channels last; only rounding differs.
Printed are the test accuracies, the mean of their differences with its 95% interval (Student's t over pairs), and the
ratio of the seconds.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile

from scipy import stats

from yisheng.core import machine, process

process.prepare()

import torch  # noqa: E402  # after prepare(), which sets environment variables

import yisheng  # noqa: E402

VARIANTS = {
    "fp32": {"precision": "fp32", "memory_format": "contiguous"},
    "bf16": {"precision": "bf16", "memory_format": "channels-last"},
}


def main(words: list[str]) -> None:
    """Train and print the comparison."""
    options = dict(word.split("=", 1) for word in words)
    model, data = options.get("model", "lenet"), options.get("data", "fashion-mnist")
    seeds, epochs = int(options.get("seeds", 10)), int(options.get("epochs", 3))
    processor, cores = machine.describe_processor()[0], machine.count_cores()
    print(f"{processor}, {cores} cores, torch {torch.__version__}: {model} on {data}, ", end="")
    print(f"{epochs} epochs, {seeds} seeds\n")
    differences, ratios = [], []
    for seed in range(seeds):
        results = {}
        for variant, settings in VARIANTS.items():
            with tempfile.TemporaryDirectory() as out:
                common = {"data": data, "model": model, "batch": 256, "epochs": epochs, "seed": seed}
                run = yisheng.train(**common, **settings, out=out, quiet=True)
                last_line = (run.path / "events.jsonl").read_text().splitlines()[-1]
                results[variant] = (run.scores["test"]["accuracy"].value, json.loads(last_line)["seconds"])
        differences.append(results["bf16"][0] - results["fp32"][0])
        ratios.append(results["bf16"][1] / results["fp32"][1])
        print(f"seed {seed}: {results['fp32'][0]:.4f} fp32, {results['bf16'][0]:.4f} bf16", flush=True)
    mean = statistics.mean(differences)
    margin = stats.t.ppf(0.975, seeds - 1) * statistics.stdev(differences) / seeds**0.5
    print(f"\naccuracy, bf16 minus fp32: {100 * mean:+.2f} points (95% {100 * (mean - margin):+.2f} to ", end="")
    print(f"{100 * (mean + margin):+.2f}); seconds {statistics.median(ratios):.2f} ", end="")
    print(f"({min(ratios):.2f} to {max(ratios):.2f}) of fp32")


if __name__ == "__main__":
    main(sys.argv[1:])
