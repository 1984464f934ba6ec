"""Small data sets in memory, and a training on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import yisheng
from yisheng import Dataset, Spec, TrainedRun


def classes(count: int = 3, shape: tuple[int, ...] = (6,), rows: int = 90) -> Dataset:
    """Return rows whose class is seen in their first values."""
    rng = np.random.default_rng(0)
    y = np.arange(rows) % count
    x = rng.normal(size=(rows, *shape)).astype(np.float32)
    x.reshape(rows, -1)[np.arange(rows), y] += 3
    return Dataset("classes", Spec("classification", shape, classes=tuple("abcdefghij"[:count])), x, y.astype(np.int64))


def numbers(rows: int = 90) -> Dataset:
    """Return rows with one number to predict."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    return Dataset("numbers", Spec("regression", (4,)), x, (x @ np.ones((4, 1), np.float32)))


def train(tmp_path: Path, data: Dataset | None = None, **settings: Any) -> TrainedRun:
    """Train for an epoch or two without messages."""
    settings = {"epochs": 1, "batch": 16, "schedule": "constant", "quiet": True, "out": tmp_path, **settings}
    return yisheng.train(data=classes() if data is None else data, **settings)
