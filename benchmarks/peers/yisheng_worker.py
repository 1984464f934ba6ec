"""Train with `yisheng.train`, as users call it, as one contestant of the benchmark.

    python yisheng_worker.py same|defaults|cached MODEL EPOCHS ROWS.npz

``same`` makes the same updates as the other contestants, in single precision. ``defaults`` uses the config's defaults
except for batch size and network. ``cached`` does the same after a first training, which caches the decoded images.
Wall seconds are those of the log, until the validation of the last epoch (training with log, progress, checkpoints and
doctor); for tables and files they start at the call. CPU seconds and memory include evaluation and report.
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

import yisheng  # noqa: E402  # after prepare(), which sets environment variables
from yisheng.core.dataset import Dataset  # noqa: E402
from yisheng.core.settings import merge_settings  # noqa: E402
from yisheng.core.spec import Spec  # noqa: E402
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
    """Warm up with one epoch on 2,048 rows, then train and print seconds, accuracy and memory."""
    variant, model, epochs, path = words
    rows = dict(np.load(path))
    same_settings = {**SAME_SETTINGS, "lr": 0.9 if model in ("lenet", "jpeg") else 0.1}  # as in worker.py
    if model == "table":
        same_settings["scale"] = "none"  # the rows are scaled already
    settings = {**(same_settings if variant == "same" else {"batch": 256}), **MODELS[model]}
    from_files = rows["x"].dtype.kind == "U"
    blank = {key: np.zeros((len(rows[key]), 28, 28), np.uint8) for key in ("x", "x_valid")} if from_files else {}
    warm_up_rows = {key: values[:2048] for key, values in {**rows, **blank}.items()}
    _train(_make_dataset(warm_up_rows), settings, 1)
    with tempfile.TemporaryDirectory() as home:
        if from_files:
            os.environ["YISHENG_HOME"] = home  # an empty cache of images
        if variant == "cached":
            _train(_read(rows), settings, int(epochs))
        in_memory = None if from_files else _make_dataset(rows)
        start, start_cpu = time.time(), time.process_time()
        seconds, end, accuracy = _train(in_memory or _read(rows), settings, int(epochs))
        cpu = time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall = end - start if model in ("table", "jpeg") else seconds
    print(json.dumps({"wall": wall, "cpu": cpu, "accuracy": accuracy, "peak_mib": peak}))


def _read(rows: dict[str, np.ndarray]) -> Dataset:
    """Load the folder that contains the files."""
    return load_dataset(merge_settings([("data", str(Path(rows["x"][0]).parents[2]), "command line")]).config)


def _make_dataset(rows: dict[str, np.ndarray]) -> Dataset:
    """Return a data set of the training and validation rows."""
    x, y = (np.concatenate([rows[key], rows[f"{key}_valid"]]) for key in "xy")
    part = np.concatenate([np.full(len(rows[f"x{end}"]), number, np.int8) for number, end in enumerate(("", "_valid"))])
    if x.dtype == np.float32:
        return Dataset("california", Spec("classification", x.shape[1:], classes=("cheap", "dear")), x, y, part=part)
    spec = Spec("classification", (1, 28, 28), classes=tuple(map(str, range(10))))
    return Dataset("fashion-mnist", spec, x[:, None], y, part=part)


def _train(data: Dataset, settings: dict[str, object], epochs: int) -> tuple[float, float, float]:
    """Train; return the seconds of the loop, the time of its last log line, and the accuracy."""
    sys.stderr = io.StringIO()  # progress is printed, but not to the terminal
    with tempfile.TemporaryDirectory() as out:
        run = yisheng.train(data=data, out=out, epochs=epochs, test=0, **settings)
        log = run.path / "events.jsonl"
        end, lines = log.stat().st_mtime, [json.loads(line) for line in log.read_text().splitlines()]
    sys.stderr = sys.__stderr__
    final_epoch = [line for line in lines if line["event"] == "epoch"][-1]
    return final_epoch["seconds"], end, final_epoch["scores"]["accuracy"]


if __name__ == "__main__":
    main(sys.argv[1:])
