"""Whether half precision and channels last learn as well: the same config computed in two ways, over many seeds.

    python benchmarks/precision.py [seeds=10] [epochs=3] [model=lenet] [data=fashion-mnist]

Each seed trains twice, plainly (float32, the usual order of numbers) and in bfloat16 with channels last; what differs
is rounding. Printed are the test accuracies, the mean of their differences with its 95% interval (Student's t, pairs)
and the ratio of the seconds.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile

from scipy import stats

from yisheng.core import machine, process

process.prepare()

import torch  # noqa: E402  # only after what must be said before

import yisheng  # noqa: E402

WAYS = {
    "plain": {"precision": "fp32", "memory_format": "contiguous"},
    "fast": {"precision": "bf16", "memory_format": "channels-last"},
}


def main(words: list[str]) -> None:
    """Train and print."""
    options = dict(word.split("=", 1) for word in words)
    model, data = options.get("model", "lenet"), options.get("data", "fashion-mnist")
    seeds, epochs = int(options.get("seeds", 10)), int(options.get("epochs", 3))
    print(
        f"{machine.describe_processor()[0]}, {machine.count_cores()} cores, torch {torch.__version__}: {model} on {data}, ",
        end="",
    )
    print(f"{epochs} epochs, {seeds} seeds\n")
    differences, ratios = [], []
    for seed in range(seeds):
        results = {}
        for way, settings in WAYS.items():
            with tempfile.TemporaryDirectory() as out:
                common = {"data": data, "model": model, "batch": 256, "epochs": epochs, "seed": seed}
                run = yisheng.train(**common, **settings, out=out, quiet=True)
                last = (run.path / "events.jsonl").read_text().splitlines()[-1]
                results[way] = (run.scores["test"]["accuracy"].value, json.loads(last)["seconds"])
        differences.append(results["fast"][0] - results["plain"][0])
        ratios.append(results["fast"][1] / results["plain"][1])
        print(f"seed {seed}: {results['plain'][0]:.4f} plain, {results['fast'][0]:.4f} fast", flush=True)
    mean = statistics.mean(differences)
    half = stats.t.ppf(0.975, seeds - 1) * statistics.stdev(differences) / seeds**0.5
    print(f"\naccuracy, fast less plain: {100 * mean:+.2f} points (95% {100 * (mean - half):+.2f} to ", end="")
    print(f"{100 * (mean + half):+.2f}); seconds {statistics.median(ratios):.2f} ", end="")
    print(f"({min(ratios):.2f} to {max(ratios):.2f}) of plain")


if __name__ == "__main__":
    main(sys.argv[1:])
