"""The same training by Yisheng, by hand, by the textbook's loader, Lightning, skorch and Keras: turn about, a table.

    python benchmarks/peers/run.py peers=PEERS/bin/python [rounds=3] [models=softmax,mlp,lenet,resnet18,table,jpeg]
                                   [only=plain,lightning,...] [busy=true] [rows=8192] [epochs=2]

Each turn is a process of its own (`worker.py` in the peers' environment, `ours.py` in this one): Fashion-MNIST, 54,000
training and 6,000 validation rows (ResNet-18: 2,048 and 512), batch 256, plain SGD, each warm before its clock runs.
`table` is an MLP that tells from the eight numbers of Californian districts whether their houses cost more than the
median (18,576 and 2,064 rows); its clock runs once the table is in memory, and counts what each contestant prepares.
`jpeg` is LeNet on the images in 14,000 files, and its clock runs from the files on: by hand they are decoded once
into memory, the textbook's loader decodes them in every epoch, ours finds no cache of them, or (cached) what an earlier
training left.
Ratios are to the loop by hand of the same round. `busy=true` keeps one core busy with another process meanwhile, and
begins each round with the loop by hand in one thread while the machine is still quiet. `rows=` is for fewer or, of
ResNet-18, more rows to train on, `epochs=` for another number of epochs than is usual for the model.
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
CONTESTANTS_OF_YISHENG = {"yisheng": "same", "yisheng (defaults)": "defaults", "yisheng (cached)": "cached"}
PEERS = ("plain", "floor", "textbook", "textbook (2 workers)", "lightning", "skorch", "keras on torch", "keras on jax")
ALONE = "plain (one thread, quiet machine)"
EPOCHS = {"softmax": 5, "mlp": 5, "lenet": 2, "resnet18": 1, "table": 50, "jpeg": 2}
ROWS = {"resnet18": (2048, 512), "jpeg": (12_000, 2_000)}
ONLY = {"jpeg": ("plain", "textbook", "textbook (2 workers)", *CONTESTANTS_OF_YISHENG)}
Turn = dict[str, float]


def main(words: list[str]) -> None:
    """Measure and print."""
    options = dict(word.split("=", 1) for word in words)
    rounds, peers = int(options.get("rounds", 3)), options.get("peers", sys.executable)
    requested = [
        name
        for name in (*PEERS, *CONTESTANTS_OF_YISHENG)
        if name in options.get("only", name).split(",") or name == "plain"
    ]
    name, flags = machine.describe_processor()
    print(
        f"{name} ({', '.join(flags)}), {machine.count_cores()} cores, Python {platform.python_version()}, {rounds} rounds"
    )
    busy = options.get("busy", "false") == "true"
    with tempfile.TemporaryDirectory() as folder:
        for model in options.get("models", ",".join(EPOCHS)).split(","):
            rows = _rows(model, Path(folder), options.get("rows"))
            contestants = [
                name for name in requested if name in ONLY.get(model, (*PEERS, *list(CONTESTANTS_OF_YISHENG)[:2]))
            ]
            epochs = int(options.get("epochs", EPOCHS[model]))
            results: dict[str, list[Turn]] = {contestant: [] for contestant in ([ALONE] if busy else []) + contestants}
            for _ in range(rounds):
                if busy:
                    results[ALONE].append(_turn("plain", model, epochs, rows, peers, OMP_NUM_THREADS="1"))
                with _busy() if busy else contextlib.nullcontext():
                    for contestant in contestants:
                        results[contestant].append(_turn(contestant, model, epochs, rows, peers))
            _table(model, results, epochs)


def _rows(model: str, folder: Path, requested: str | None) -> Path:
    """The rows that all contestants get, in a file."""
    config = merge_settings(
        [("data", "california-housing" if model == "table" else "fashion-mnist", "command line")]
    ).config
    data = load_dataset(config)
    split = split_dataset(config, data)
    maximum = ROWS.get(model, (None, None))
    maximum = (int(requested), maximum[1]) if requested else maximum
    parts = {"": split.train[: maximum[0]], "_valid": split.validation[: maximum[1]]}
    if model == "table":
        parts = {"": np.r_[split.train, split.test][: maximum[0]], "_valid": split.validation}
        x, y = _table_rows(np.asarray(data.x), np.asarray(data.y))
    else:
        x, y = np.asarray(data.x).reshape(-1, 28, 28), np.asarray(data.y)
    rows = {f"{key}{end}": values[at] for end, at in parts.items() for key, values in (("x", x), ("y", y))}
    if model == "jpeg":
        for part, end in (("train", ""), ("validation", "_valid")):
            rows[f"x{end}"] = _files(folder / "images" / part, rows[f"x{end}"], rows[f"y{end}"])
    path = folder / f"{model}.npz"
    np.savez(path, **rows)
    return path


def _table_rows(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eight numbers of each district, standardised, and whether its houses are dear."""
    numbers = x[:, :8].astype(np.float64)
    numbers = np.where(np.isnan(numbers), np.nanmedian(numbers, 0), numbers)
    scaled = (numbers - numbers.mean(0)) / numbers.std(0)
    return scaled.astype(np.float32), (y[:, 0] > np.median(y)).astype(np.int64)


def _files(folder: Path, images: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Each image in a JPEG file in the folder of its class; gives the paths."""
    for name in range(10):
        (folder / str(name)).mkdir(parents=True)
    paths = [folder / str(name) / f"{number:05}.jpg" for number, name in enumerate(y)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, quality=90)
    return np.array(list(map(str, paths)))


def _turn(contestant: str, model: str, epochs: int, rows: Path, peers: str, **environment: str) -> Turn:
    """One training in its own process."""
    mine = contestant in CONTESTANTS_OF_YISHENG
    script = FOLDER / ("ours.py" if mine else "worker.py")
    words = [CONTESTANTS_OF_YISHENG.get(contestant, contestant), model, str(epochs), str(rows)]
    completed = subprocess.run(
        [sys.executable if mine else peers, str(script), *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    if completed.returncode:
        print(f"{contestant} on {model}: {completed.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(completed.stdout.strip().splitlines()[-1])


def _table(model: str, results: dict[str, list[Turn]], epochs: int) -> None:
    """Medians, and ratios to the loop by hand of the same round with their spread."""
    print(f"\n{model}, {epochs} epochs\n")
    print("| contestant | s/epoch | processor s/epoch | ratio to the loop by hand (least to most) | accuracy | MiB |")
    print("|---|---|---|---|---|---|")
    for name, turns in results.items():
        pairs = [(turn, plain) for turn, plain in zip(turns, results["plain"], strict=True) if turn and plain]
        if not pairs:
            continue
        ratios = [turn["wall"] / plain["wall"] for turn, plain in pairs]
        wall, cpu, accuracy, peak = (
            statistics.median(turn[key] for turn, _ in pairs) for key in ("wall", "cpu", "accuracy", "peak_mib")
        )
        range_ = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        row = f"| {name} | {wall / epochs:.3f} | {cpu / epochs:.3f} | {range_} | {accuracy:.3f} | {peak:.0f} |"
        print(row, flush=True)


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    """One core taken by another process."""
    busy = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    busy.start()
    try:
        yield
    finally:
        busy.terminate()
        busy.join()


def _spin() -> None:
    while True:
        sum(range(10000))


if __name__ == "__main__":
    main(sys.argv[1:])
