"""Yisheng as a contestant: `yisheng.train` as users have it, in a process of its own.

    python ours.py same|defaults MODEL EPOCHS ROWS.npz

``same`` makes the very updates of the others in single precision; ``defaults`` leaves precision, optimiser and the
rest to the recipe's defaults. Wall seconds are those of the log up to the last epoch's validation (the loop with log,
progress, checkpoints and doctor); processor seconds and memory are of everything, evaluation and report included.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import tempfile
import time

import numpy as np

from yisheng.core import machine

machine.prepare()

import yisheng  # noqa: E402  # only after what must be said before
from yisheng.core.types import Dataset, Spec  # noqa: E402

SAME = {
    "batch": 256,
    "optimizer": "sgd",
    "schedule": "constant",
    "scale": "unit",
    "precision": "fp32",
    "memory_format": "contiguous",
}
MODELS = {
    "softmax": {"model": "linear"},
    "mlp": {"model": "mlp"},
    "lenet": {"model": {"name": "lenet", "style": "classic"}},
    "resnet18": {"model": "resnet18"},
}


def main(words: list[str]) -> None:
    """Train one epoch on 2,048 rows to warm up, then the asked for, and print what it took."""
    how, model, epochs, path = words
    rows = dict(np.load(path))
    same = {**SAME, "lr": 0.9 if model == "lenet" else 0.1}  # as in worker.py
    settings = {**MODELS[model], **(same if how == "same" else {"batch": 256})}
    _train(_dataset(rows, 2048), settings, 1)
    began = time.process_time()
    seconds, accuracy = _train(_dataset(rows, len(rows["x"])), settings, int(epochs))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "wall": seconds,
                "cpu": time.process_time() - began,
                "accuracy": accuracy,
                "peak_mib": used.ru_maxrss / 1024,
            }
        )
    )


def _dataset(rows: dict[str, np.ndarray], n: int) -> Dataset:
    """The first n rows to train on, and all validation rows as they are."""
    x, y = np.concatenate([rows["x"][:n], rows["x_valid"]]), np.concatenate([rows["y"][:n], rows["y_valid"]])
    part = np.concatenate([np.zeros(n, np.int8), np.ones(len(rows["x_valid"]), np.int8)])
    spec = Spec("classification", (1, 28, 28), classes=tuple(map(str, range(10))))
    return Dataset("fashion-mnist", spec, x[:, None], y, part=part)


def _train(data: Dataset, settings: dict[str, object], epochs: int) -> tuple[float, float]:
    sys.stderr = io.StringIO()  # progress is written, to a place that is not looked at
    with tempfile.TemporaryDirectory() as out:
        run = yisheng.train(data=data, out=out, epochs=epochs, test=0, **settings)
        lines = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    sys.stderr = sys.__stderr__
    last = [line for line in lines if line["event"] == "epoch"][-1]
    return last["seconds"], last["scores"]["accuracy"]


if __name__ == "__main__":
    main(sys.argv[1:])
