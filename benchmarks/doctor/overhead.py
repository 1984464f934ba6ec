"""Measure the cost of the doctor: the same training with `doctor=off` and `doctor=passive`, alternating in one process.

Everything of `yisheng train` is on (log, checkpoints, validation). The seconds are those of the log, from the first
step to the validation of the last epoch. LeNet and ResNet-18 learn Fashion-MNIST; the MLP has 8 hidden units and learns
generated rows of 8 columns.

    python -m benchmarks.doctor.overhead [rounds=5] [models=mlp,lenet,resnet18] [rows=N]
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
from typing import Any

from yisheng.core import machine, process

process.prepare()

import numpy as np  # noqa: E402  # the process must be prepared before
import torch  # noqa: E402

import yisheng  # noqa: E402
from yisheng.core.dataset import Dataset  # noqa: E402
from yisheng.core.settings import merge_settings  # noqa: E402
from yisheng.core.spec import Spec  # noqa: E402
from yisheng.experiments.load_data import load_dataset  # noqa: E402

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"model": "mlp", "hidden": [8], "batch": 32, "epochs": 20},
    "lenet": {"model": "lenet", "batch": 128, "epochs": 2},
    "resnet18": {"model": "resnet18", "batch": 64, "epochs": 1, "precision": "bf16"},
}
ROWS = {"mlp": 3200, "lenet": 54000, "resnet18": 6400}
WARM_UP_ROWS = 512


def main(arguments: list[str]) -> None:
    """Measure all models and print a table."""
    options = dict(argument.split("=", 1) for argument in arguments)
    rounds, names = int(options.get("rounds", 5)), options.get("models", "mlp,lenet,resnet18").split(",")
    print(f"{machine.describe_processor()[0]}, {machine.count_cores()} cores, torch {torch.__version__}, ", end="")
    print(f"Python {platform.python_version()}, {rounds} rounds\n")
    print("| network | updates | doctor=off, s | passive, s | cost, median (smallest to largest) |")
    print("|---|---|---|---|---|")
    for name in names:
        data = generate_rows(ROWS[name]) if name == "mlp" else load_images(int(options.get("rows", ROWS[name])))
        train(data, name, "passive", is_warm_up=True)
        pairs: list[tuple[float, float]] = []
        steps = 0
        for number in range(rounds):
            order = ("off", "passive") if number % 2 == 0 else ("passive", "off")
            results = {doctor: train(data, name, doctor) for doctor in order}
            pairs.append((results["off"][0], results["passive"][0]))
            steps = results["off"][1]
        costs = [100 * (passive / off - 1) for off, passive in pairs]
        off, passive = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
        cost = f"{statistics.median(costs):+.1f}% ({min(costs):+.1f}% to {max(costs):+.1f}%)"
        print(f"| {name} | {steps:,} | {off:.2f} | {passive:.2f} | {cost} |", flush=True)


def train(data: Dataset, name: str, doctor: str, *, is_warm_up: bool = False) -> tuple[float, int]:
    """Train and return seconds and updates; a warm-up is one epoch on a few rows."""
    settings = {**MODELS[name], **({"epochs": 1} if is_warm_up else {})}
    if is_warm_up:
        data = Dataset(data.name, data.spec, data.x[:WARM_UP_ROWS], data.y[:WARM_UP_ROWS])
    with tempfile.TemporaryDirectory() as out:
        run = yisheng.train(data=data, out=out, quiet=True, doctor=doctor, test=0, validation=0.1, **settings)
        events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    last_epoch = [event for event in events if event["event"] == "epoch"][-1]
    return last_epoch["seconds"], last_epoch["step"]


def load_images(rows: int) -> Dataset:
    """Return the first training rows of Fashion-MNIST, without its parts."""
    data = load_dataset(merge_settings([("data", "fashion-mnist", "command line")]).config)
    return Dataset(data.name, data.spec, np.asarray(data.x[:rows]), np.asarray(data.y[:rows]))


def generate_rows(rows: int) -> Dataset:
    """Return rows of eight numbers in two classes."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, 8)).astype(np.float32)
    y = (x[:, 0] + generator.normal(size=rows) > 0).astype(np.int64)
    return Dataset("generated", Spec("classification", (8,), classes=("no", "yes")), x, y)


if __name__ == "__main__":
    main(sys.argv[1:])
