"""Compare the same training by Yisheng, a plain loop, the textbook's loader, Lightning, skorch and Keras.

    python benchmarks/peers/run.py peers=PEERS/bin/python [rounds=3] [models=softmax,mlp,lenet,resnet18,table,jpeg]
                                   [only=plain,lightning,...] [busy=true] [rows=8192] [epochs=2]

The contestants alternate, each in its own process (`worker.py` in the peers' environment, `yisheng_worker.py` in this
one): Fashion-MNIST, 54,000 training and 6,000 validation rows (ResNet-18: 2,048 and 512), batch 256, plain SGD. Each
warms up before its clock starts.

`table` is an MLP that classifies from eight numbers of Californian districts whether their houses cost more than the
median (18,576 and 2,064 rows); its clock starts when the table is in memory and includes each contestant's preparation.
`jpeg` is LeNet on the images in 14,000 files; its clock starts before they are read. The plain loop decodes them once
into memory, the textbook's loader decodes them in every epoch, and Yisheng starts with an empty cache or (cached) with
the cache of a previous training.

Ratios are to the plain loop of the same round. With `busy=true` another process occupies one core, and each round
starts with the plain loop in one thread before that process starts. `rows=` and `epochs=` are numbers of training rows
and epochs other than the model's default.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from yisheng.core import machine
from yisheng.core.settings import merge_settings
from yisheng.experiments.load_data import load_dataset, split_dataset

FOLDER = Path(__file__).parent
YISHENG_VARIANTS = {"yisheng": "same", "yisheng (defaults)": "defaults", "yisheng (cached)": "cached"}
PEERS = ("plain", "floor", "textbook", "textbook (2 workers)", "lightning", "skorch", "keras on torch", "keras on jax")
QUIET_PLAIN = "plain (one thread, quiet machine)"
EPOCHS = {"softmax": 5, "mlp": 5, "lenet": 2, "resnet18": 1, "table": 50, "jpeg": 2}
ROWS = {"resnet18": (2048, 512), "jpeg": (12_000, 2_000)}
ONLY = {"jpeg": ("plain", "textbook", "textbook (2 workers)", *YISHENG_VARIANTS)}
Measurement = dict[str, float]


def main(words: list[str]) -> None:
    """Measure and print a table for each model."""
    options = dict(word.split("=", 1) for word in words)
    rounds, peers = int(options.get("rounds", 3)), options.get("peers", sys.executable)
    requested = [
        name for name in (*PEERS, *YISHENG_VARIANTS) if name in options.get("only", name).split(",") or name == "plain"
    ]
    name, flags = machine.describe_processor()
    print(
        f"{name} ({', '.join(flags)}), {machine.count_cores()} cores, "
        f"Python {platform.python_version()}, {rounds} rounds"
    )
    busy = options.get("busy", "false") == "true"
    with tempfile.TemporaryDirectory() as folder:
        for model in options.get("models", ",".join(EPOCHS)).split(","):
            rows = _write_rows(model, Path(folder), options.get("rows"))
            contestants = [name for name in requested if name in ONLY.get(model, (*PEERS, *list(YISHENG_VARIANTS)[:2]))]
            epochs = int(options.get("epochs", EPOCHS[model]))
            results: dict[str, list[Measurement]] = {
                contestant: [] for contestant in ([QUIET_PLAIN] if busy else []) + contestants
            }
            for _ in range(rounds):
                if busy:
                    results[QUIET_PLAIN].append(_measure("plain", model, epochs, rows, peers, OMP_NUM_THREADS="1"))
                with _occupy_core() if busy else contextlib.nullcontext():
                    for contestant in contestants:
                        results[contestant].append(_measure(contestant, model, epochs, rows, peers))
            _print_table(model, results, epochs)


def _write_rows(model: str, folder: Path, requested: str | None) -> Path:
    """Write the rows for all contestants into a file; return its path."""
    config = merge_settings(
        [("data", "california-housing" if model == "table" else "fashion-mnist", "command line")]
    ).config
    data = load_dataset(config)
    split = split_dataset(config, data)
    max_train, max_validation = ROWS.get(model, (None, None))
    max_train = int(requested) if requested else max_train
    parts = {"": split.train[:max_train], "_valid": split.validation[:max_validation]}
    if model == "table":
        parts = {"": np.r_[split.train, split.test][:max_train], "_valid": split.validation}
        x, y = _prepare_table(np.asarray(data.x), np.asarray(data.y))
    else:
        x, y = np.asarray(data.x).reshape(-1, 28, 28), np.asarray(data.y)
    rows = {f"{key}{suffix}": values[part] for suffix, part in parts.items() for key, values in (("x", x), ("y", y))}
    if model == "jpeg":
        for part, suffix in (("train", ""), ("validation", "_valid")):
            rows[f"x{suffix}"] = _write_files(folder / "images" / part, rows[f"x{suffix}"], rows[f"y{suffix}"])
    path = folder / f"{model}.npz"
    np.savez(path, **rows)
    return path


def _prepare_table(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eight standardized numbers of each district, and whether its houses cost more than the median."""
    numbers = x[:, :8].astype(np.float64)
    numbers = np.where(np.isnan(numbers), np.nanmedian(numbers, 0), numbers)
    scaled = (numbers - numbers.mean(0)) / numbers.std(0)
    return scaled.astype(np.float32), (y[:, 0] > np.median(y)).astype(np.int64)


def _write_files(folder: Path, images: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Write each image as JPEG into the folder of its class; return the paths."""
    for name in range(10):
        (folder / str(name)).mkdir(parents=True)
    paths = [folder / str(name) / f"{number:05}.jpg" for number, name in enumerate(y)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, quality=90)
    return np.array(list(map(str, paths)))


def _measure(contestant: str, model: str, epochs: int, rows: Path, peers: str, **environment: str) -> Measurement:
    """Train in another process; return its measurement, empty after a failure."""
    is_yisheng = contestant in YISHENG_VARIANTS
    script = FOLDER / ("yisheng_worker.py" if is_yisheng else "worker.py")
    words = [YISHENG_VARIANTS.get(contestant, contestant), model, str(epochs), str(rows)]
    completed = subprocess.run(
        [sys.executable if is_yisheng else peers, str(script), *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    if completed.returncode:
        print(f"{contestant} on {model}: {completed.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(completed.stdout.strip().splitlines()[-1])


def _print_table(model: str, results: dict[str, list[Measurement]], epochs: int) -> None:
    """Print medians, and ratios to the plain loop of the same round with their range."""
    print(f"\n{model}, {epochs} epochs\n")
    print("| contestant | s/epoch | CPU s/epoch | ratio to the plain loop: median (min to max) | accuracy | MiB |")
    print("|---|---|---|---|---|---|")
    for name, measurements in results.items():
        pairs = [pair for pair in zip(measurements, results["plain"], strict=True) if all(pair)]
        if not pairs:
            continue
        ratios = [result["wall"] / plain["wall"] for result, plain in pairs]
        wall, cpu, accuracy, peak = (
            statistics.median(result[key] for result, _ in pairs) for key in ("wall", "cpu", "accuracy", "peak_mib")
        )
        range_ = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        row = f"| {name} | {wall / epochs:.3f} | {cpu / epochs:.3f} | {range_} | {accuracy:.3f} | {peak:.0f} |"
        print(row, flush=True)


@contextlib.contextmanager
def _occupy_core() -> Iterator[None]:
    """Occupy one core with another process."""
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _spin() -> None:
    while True:
        sum(range(10000))


if __name__ == "__main__":
    main(sys.argv[1:])
