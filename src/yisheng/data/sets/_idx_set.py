"""The four idx files of MNIST and of the sets that copy its form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Dataset, Ink, Spec
from yisheng.data import catalog, hub, idx

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def idx_set(name: str, folder: Path | None, *, classes: tuple[str, ...], target: str, ink: Ink) -> Dataset:
    """The set from the user's folder if one is named, else through the hub.

    Raises:
        DataError: a file is missing and cannot be fetched, or is not what it should be.
    """
    paths = {file: hub.path(name, file, folder) for pair in FILES.values() for file in pair}
    known = catalog.find(name)
    x, y, part = read(name, paths, len(classes))
    spec = Spec("classification", x.shape[1:], classes=classes, target=target, ink=ink)
    return Dataset(name, spec, x, y, part, about=known.about, source=known.source, licence=known.licence)


def read(name: str, paths: Mapping[str, Path], classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures ``(N, 1, H, W)``, labels ``(N,)`` and official parts ``(N,)``.

    Args:
        name: of the set, for errors.
        paths: where each of `FILES` lies.
        classes: number of classes.

    Raises:
        DataError: pictures and labels do not fit together.
    """
    train, test = (_pair(paths[FILES[part][0]], paths[FILES[part][1]], classes) for part in ("train", "test"))
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"{name}: training pictures of {train[0].shape[1:]} and test pictures of {test[0].shape[1:]} pixels",
            "take all four files from one set",
        )
    x = np.concatenate([train[0], test[0]])[:, None]
    part = np.repeat(np.array([0, 2], np.int8), [len(train[0]), len(test[0])])
    return x, np.concatenate([train[1], test[1]]), part


def _pair(pictures_path: Path, labels_path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    pictures, labels = idx.read(pictures_path), idx.read(labels_path)
    if pictures.dtype != np.uint8 or pictures.ndim != 3:
        raise DataError(
            f"{pictures_path} should hold pictures (N, H, W) in bytes, "
            f"got an array {pictures.shape} of {pictures.dtype}",
            "are the files of pictures and labels swapped?",
        )
    if labels.dtype != np.uint8 or labels.shape != pictures.shape[:1]:
        raise DataError(
            f"{labels_path} should hold {len(pictures)} labels in bytes, got an array {labels.shape} of {labels.dtype}",
            "take pictures and labels from one set",
        )
    if labels.max() >= classes:
        row = int(np.argmax(labels >= classes))
        raise DataError(
            f"{labels_path} has the label {labels[row]} in row {row}; there are {classes} classes, from 0",
            "take the file of this set",
        )
    return pictures, labels.astype(np.int64)
