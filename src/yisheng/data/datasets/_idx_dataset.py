"""The four idx files of MNIST and of the sets that copy its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval

from yisheng.core.errors import DataError
from yisheng.core.types import Dataset, Ink, Spec
from yisheng.data import idx
from yisheng.data.hub import catalog, files

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


Size = Annotated[int, Interval(ge=8, le=512)]
"""Rows and columns that images are resized to."""


def idx_set(
    name: str, folder: Path | None, *, classes: tuple[str, ...], target: str, ink: Ink, size: int | None = None
) -> Dataset:
    """The set from the user's folder if one is named, else through the hub.

    Args:
        name: of the set.
        folder: the user's, or None.
        classes: their names.
        target: what is predicted.
        ink: how the drawings lie.
        size: rows and columns to resize the images to (bilinear), for networks that are made for larger ones.

    Raises:
        DataError: a file is missing and cannot be fetched, or is not what it should be.
    """
    paths = {file: files.path(name, file, folder) for pair in FILES.values() for file in pair}
    known = catalog.find(name)
    x, y, part = read(name, paths, len(classes))
    if size is not None and x.shape[2:] != (size, size):
        ink = replace(ink, box=max(1, round(ink.box * size / max(x.shape[2:]))))
        x = resized(x, size)
    spec = Spec("classification", x.shape[1:], classes=classes, target=target, ink=ink)
    return Dataset(name, spec, x, y, part, about=known.about, source=known.source, licence=known.licence)


def resized(x: np.ndarray, size: int) -> np.ndarray:
    """Images of ``size`` rows and columns, as Pillow's bilinear filter makes them.

    Args:
        x: uint8 ``(N, C, H, W)``.
        size: pixels.

    >>> resized(np.full((2, 1, 28, 28), 7, np.uint8), 56).shape
    (2, 1, 56, 56)
    """
    import torch
    from torch.nn.functional import interpolate

    found = np.empty((*x.shape[:2], size, size), np.uint8)
    for at in range(0, len(x), 1000):
        piece = torch.from_numpy(x[at : at + 1000])
        found[at : at + 1000] = interpolate(piece, (size, size), mode="bilinear", antialias=True).numpy()
    return found


def read(name: str, paths: Mapping[str, Path], classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images ``(N, 1, H, W)``, labels ``(N,)`` and official parts ``(N,)``.

    Args:
        name: of the set, for errors.
        paths: where each of `FILES` lies.
        classes: number of classes.

    Raises:
        DataError: images and labels do not fit together.
    """
    train, test = (pair(paths[FILES[part][0]], paths[FILES[part][1]], classes) for part in ("train", "test"))
    return stacked(name, train, test)


def stacked(
    name: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images ``(N, 1, H, W)``, labels ``(N,)`` and official parts ``(N,)`` of two parts.

    Raises:
        DataError: their images are not of one size.
    """
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"{name}: training images of {train[0].shape[1:]} and test images of {test[0].shape[1:]} pixels",
            "take all four files from one set",
        )
    x = np.concatenate([train[0], test[0]])[:, None]
    part = np.repeat(np.array([0, 2], np.int8), [len(train[0]), len(test[0])])
    return x, np.concatenate([train[1], test[1]]), part


def pair(
    images_path: Path, labels_path: Path, classes: int, *, first: int = 0, column: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 ``(N, H, W)`` and class numbers int64 ``(N,)`` of two files.

    Args:
        images_path: of the images.
        labels_path: of the labels.
        classes: how many there are.
        first: the label of the first class.
        column: which column of the labels is the class, where they are a table of int32.

    Raises:
        DataError: the files do not fit together, or hold something else.
    """
    images, labels = idx.read(images_path), idx.read(labels_path)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(
            f"{images_path} should hold images (N, H, W) in bytes, got an array {images.shape} of {images.dtype}",
            "are the files of images and labels swapped?",
        )
    wide = column is not None
    right = labels.dtype == (np.int32 if wide else np.uint8) and labels.ndim == 1 + wide
    if not right or len(labels) != len(images) or (column is not None and labels.shape[1] <= column):
        what = "rows of labels in int32" if wide else "labels in bytes"
        raise DataError(
            f"{labels_path} should hold {len(images)} {what}, got an array {labels.shape} of {labels.dtype}",
            "take images and labels from one set",
        )
    y = (labels if column is None else labels[:, column]).astype(np.int64) - first
    if y.min() < 0 or y.max() >= classes:
        row = int(np.argmax((y < 0) | (y >= classes)))
        raise DataError(
            f"{labels_path} has the label {y[row] + first} in row {row}; there are {classes} classes, from {first}",
            "take the file of this set",
        )
    return images, y
