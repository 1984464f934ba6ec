"""Measure test accuracy (mean and standard deviation over seeds) and training time of configs and defaults.

Needs Fashion-MNIST and MNIST, from a mirror (`YISHENG_MIRROR`) or downloaded by the hub.

    python benchmarks/results.py [seeds=3] [only=WORD] [part=configs|nets] [key=value ...]

Further keys are keys of the config, for all runs: `part=nets epochs=2` trains the textbook's networks for two epochs.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from yisheng.core.process import prepare

prepare()

import torch  # noqa: E402  # after prepare(), which sets environment variables

import yisheng  # noqa: E402
from yisheng.core import machine  # noqa: E402

CONFIGS = Path(__file__).parents[1] / "configs"
RUNS: dict[str, dict[str, Any]] = {
    "configs/fashion-mnist-softmax.toml": {"config": CONFIGS / "fashion-mnist-softmax.toml"},
    "configs/fashion-mnist-mlp.toml": {"config": CONFIGS / "fashion-mnist-mlp.toml"},
    "configs/fashion-mnist-lenet.toml": {"config": CONFIGS / "fashion-mnist-lenet.toml"},
    "data=fashion-mnist model=linear": {"data": "fashion-mnist", "model": "linear"},
    "data=fashion-mnist model=mlp": {"data": "fashion-mnist", "model": "mlp"},
    "data=fashion-mnist model=lenet": {"data": "fashion-mnist", "model": "lenet"},
    "data=mnist": {"data": "mnist"},
}
SMALL_IMAGES = {
    "precision": "bf16",
    "augment": "flip",
    "optimizer": "nesterov",
    "weight_decay": 5e-4,
    "lr": 0.05,
    "batch": 64,
}
NETS: dict[str, dict[str, Any]] = {
    **{
        f"configs/fashion-mnist-{name}.toml size={size}": {
            "config": CONFIGS / f"fashion-mnist-{name}.toml",
            "size": size,
            "precision": "bf16",
        }
        for name, size in {"alexnet": 67, "vgg11": 32, "nin": 67, "googlenet": 32, "resnet18": 32}.items()
    },
    "data=fashion-mnist model=resnet18": {"data": "fashion-mnist", "model": "resnet18", **SMALL_IMAGES},
}


def main(words: list[str]) -> None:
    """Train everything, and print the table in Markdown."""
    options = dict(word.split("=", 1) for word in words)
    seeds = range(int(options.pop("seeds", 3)))
    only, runs = options.pop("only", ""), {"configs": RUNS, "nets": NETS}[options.pop("part", "configs")]
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{machine.describe_processor()[0]}, {machine.count_cores()} cores, {versions}\n")
    print("| run | test accuracy, mean ± sd | epochs | training, s | evaluation and report, s |")
    print("|---|---|---|---|---|")
    for name, settings in runs.items():
        if only not in name:
            continue
        values, training, evaluation, epochs = [], [], [], 0
        for seed in seeds:
            with tempfile.TemporaryDirectory() as out:
                run = yisheng.train(out=out, quiet=True, seed=seed, **{**settings, **options})
                seconds = json.loads((run.path / "environment.json").read_text())["seconds"]
                epochs = run.run.config["epochs"]
            values.append(run.scores["test"]["accuracy"].value)
            training.append(seconds["training"])
            evaluation.append(seconds["evaluation"])
        print(
            f"| `{name}` | {statistics.mean(values):.4f} ± {statistics.stdev(values) if len(values) > 1 else 0:.4f} "
            f"| {epochs} | {statistics.median(training):.1f} ({min(training):.1f} to {max(training):.1f}) "
            f"| {statistics.median(evaluation):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
