"""What the doctor costs: the same training with `doctor=off` and `doctor=passive`, turn about in one process.

Everything of `yisheng train` is on (log, checkpoints, validation); the seconds are those of the log, from the first
step to the last epoch's validation. Fashion-MNIST, the textbook's batches; the smallest MLP has 8 inputs and 8 hidden
units on generated rows.

    python benchmarks/doctor/overhead.py [rounds=5] [models=mlp,lenet,resnet18] [rows=N]
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

import numpy as np  # noqa: E402  # only after what must be said before
import torch  # noqa: E402

import yisheng  # noqa: E402
from yisheng.core.settings import merge_settings  # noqa: E402
from yisheng.core.types import Dataset, Spec  # noqa: E402
from yisheng.experiments import load_data  # noqa: E402

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"model": "mlp", "hidden": [8], "batch": 32, "epochs": 20},
    "lenet": {"model": "lenet", "batch": 128, "epochs": 2},
    "resnet18": {"model": "resnet18", "batch": 64, "epochs": 1, "precision": "bf16"},
}
ROWS = {"mlp": 3200, "lenet": 54000, "resnet18": 6400}


def main(words: list[str]) -> None:
    """Measure and print."""
    options = dict(word.split("=", 1) for word in words)
    rounds, names = int(options.get("rounds", 5)), options.get("models", "mlp,lenet,resnet18").split(",")
    print(f"{machine.describe_processor()[0]}, {machine.count_cores()} cores, torch {torch.__version__}, ", end="")
    print(f"Python {platform.python_version()}, {rounds} rounds\n")
    print("| network | updates | doctor=off, s | passive, s | cost, middle (least to most) |")
    print("|---|---|---|---|---|")
    for name in names:
        data = _generated(ROWS[name]) if name == "mlp" else _images(int(options.get("rows", ROWS[name])))
        _seconds(data, name, "passive", warm=True)
        pairs = []
        for turn in range(rounds):
            order = ("off", "passive") if turn % 2 == 0 else ("passive", "off")
            found = {doctor: _seconds(data, name, doctor) for doctor in order}
            pairs.append((found["off"][0], found["passive"][0]))
            steps = found["off"][1]
        costs = [100 * (on / off - 1) for off, on in pairs]
        off, on = (statistics.median(column) for column in zip(*pairs, strict=True))
        middle = f"{statistics.median(costs):+.1f}% ({min(costs):+.1f}% to {max(costs):+.1f}%)"
        print(f"| {name} | {steps:,} | {off:.2f} | {on:.2f} | {middle} |", flush=True)


def _seconds(data: Dataset, name: str, doctor: str, *, warm: bool = False) -> tuple[float, int]:
    """Seconds of the training and updates made; to warm up one epoch on a few rows."""
    settings = {**MODELS[name], **({"epochs": 1} if warm else {})}
    if warm:
        data = Dataset(data.name, data.spec, data.x[:512], data.y[:512])
    with tempfile.TemporaryDirectory() as out:
        run = yisheng.train(data=data, out=out, quiet=True, doctor=doctor, test=0, validation=0.1, **settings)
        lines = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["event"] == "epoch"][-1]
    return last["seconds"], last["step"]


def _images(rows: int) -> Dataset:
    """The first training rows of Fashion-MNIST, without its parts."""
    data = load_data.dataset(merge_settings([("data", "fashion-mnist", "command line")]).config)
    return Dataset(data.name, data.spec, np.asarray(data.x[:rows]), np.asarray(data.y[:rows]))


def _generated(rows: int) -> Dataset:
    """Rows of eight numbers in two classes."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 8)).astype(np.float32)
    y = (x[:, 0] + draw.normal(size=rows) > 0).astype(np.int64)
    return Dataset("generated", Spec("classification", (8,), classes=("no", "yes")), x, y)


if __name__ == "__main__":
    main(sys.argv[1:])
