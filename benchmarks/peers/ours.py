"""Yisheng as a contestant: `yisheng.train` as users have it, in a process of its own.

    python ours.py same|defaults|cached MODEL EPOCHS ROWS.npz

``same`` makes the very updates of the others in single precision; ``defaults`` leaves precision, optimiser and all but
batch and network to the config's defaults; ``cached`` does, too, after a first training has left the images decoded.
Wall seconds are those of the log up to the last epoch's validation (the loop with log, progress, checkpoints and
doctor); of a table and of files all from the call on, up to the same moment. Processor seconds and memory are of
everything, evaluation and report included.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from yisheng.core import process

process.prepare()

import yisheng  # noqa: E402  # only after what must be said before
from yisheng.core.settings import merge_settings  # noqa: E402
from yisheng.core.types import Dataset, Spec  # noqa: E402
from yisheng.experiments.load_data import load_dataset  # noqa: E402

SAME_SETTINGS = {
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
    "table": {"model": "mlp"},
}
MODELS["jpeg"] = MODELS["lenet"]


def main(words: list[str]) -> None:
    """Train one epoch on 2,048 rows to warm up, then the asked for, and print what it took."""
    how, model, epochs, path = words
    rows = dict(np.load(path))
    is_same = {**SAME_SETTINGS, "lr": 0.9 if model in ("lenet", "jpeg") else 0.1}  # as in worker.py
    if model == "table":
        is_same["scale"] = "none"  # as the rows are scaled
    settings = {**(is_same if how == "same" else {"batch": 256}), **MODELS[model]}
    from_files = rows["x"].dtype.kind == "U"
    warm = {key: np.zeros((len(rows[key]), 28, 28), np.uint8) for key in ("x", "x_valid")} if from_files else {}
    is_short = {**rows, **warm}
    _train(_dataset({key: is_short[key][:2048] for key in is_short}), settings, 1)
    with tempfile.TemporaryDirectory() as home:
        if from_files:
            os.environ["YISHENG_HOME"] = home  # with no cache of the images
        if how == "cached":
            _train(_read(rows), settings, int(epochs))
        in_memory = None if from_files else _dataset(rows)
        start, used = time.time(), time.process_time()
        seconds, end, accuracy = _train(in_memory or _read(rows), settings, int(epochs))
        used = time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall = end - start if model in ("table", "jpeg") else seconds
    print(json.dumps({"wall": wall, "cpu": used, "accuracy": accuracy, "peak_mib": peak}))


def _read(rows: dict[str, np.ndarray]) -> Dataset:
    """The folder in which the files lie."""
    return load_dataset(merge_settings([("data", str(Path(rows["x"][0]).parents[2]), "command line")]).config)


def _dataset(rows: dict[str, np.ndarray]) -> Dataset:
    """All rows to train and to validate on, as they are."""
    x, y = (np.concatenate([rows[key], rows[f"{key}_valid"]]) for key in "xy")
    part = np.concatenate([np.full(len(rows[f"x{end}"]), number, np.int8) for number, end in enumerate(("", "_valid"))])
    if x.dtype == np.float32:
        return Dataset("california", Spec("classification", x.shape[1:], classes=("cheap", "dear")), x, y, part=part)
    spec = Spec("classification", (1, 28, 28), classes=tuple(map(str, range(10))))
    return Dataset("fashion-mnist", spec, x[:, None], y, part=part)


def _train(data: Dataset, settings: dict[str, object], epochs: int) -> tuple[float, float, float]:
    """Seconds of the loop, when its last line was written, and accuracy."""
    sys.stderr = io.StringIO()  # progress is written, to a place that is not looked at
    with tempfile.TemporaryDirectory() as out:
        run = yisheng.train(data=data, out=out, epochs=epochs, test=0, **settings)
        log = run.path / "events.jsonl"
        end, lines = log.stat().st_mtime, [json.loads(line) for line in log.read_text().splitlines()]
    sys.stderr = sys.__stderr__
    last = [line for line in lines if line["event"] == "epoch"][-1]
    return last["seconds"], end, last["scores"]["accuracy"]


if __name__ == "__main__":
    main(sys.argv[1:])
