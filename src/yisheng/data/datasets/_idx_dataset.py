"""The four idx files of MNIST and of the sets in its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.image_values import Drawing
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data import hub, idx
from yisheng.data.datasets._catalog_facts import add_catalog_facts

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
Size = Annotated[int, Interval(ge=8, le=512)]
"""Height and width that images are resized to."""
RESIZE_BATCH = 1000
"""Images that are resized at a time."""


def load_idx_dataset(
    name: str, folder: Path | None, *, classes: tuple[str, ...], target: str, drawing: Drawing, size: int | None = None
) -> Dataset:
    """Load a set from the user's folder if one is named, else through the hub.

    Args:
        name: of the set.
        folder: the user's folder, or None.
        classes: names of the classes.
        target: what is predicted.
        drawing: size and position of the drawings in the images.
        size: height and width to resize the images to (bilinear), for networks made for larger images.

    Raises:
        DataError: a file cannot be downloaded, or has other content.
    """
    paths = {file: hub.fetch_file(name, file, folder) for files in FILES.values() for file in files}
    x, y, part = read_parts(name, paths, len(classes))
    if size is not None and x.shape[2:] != (size, size):
        drawing = replace(drawing, box=max(1, round(drawing.box * size / max(x.shape[2:]))))
        x = resize(x, size)
    spec = Spec("classification", x.shape[1:], classes=classes, target=target, drawing=drawing)
    return add_catalog_facts(Dataset(name, spec, x, y, part))


def resize(x: np.ndarray, size: int) -> np.ndarray:
    """Return images resized to height and width ``size``, as Pillow's bilinear filter does.

    Args:
        x: uint8 ``(N, C, H, W)``.
        size: in pixels.

    >>> resize(np.full((2, 1, 28, 28), 7, np.uint8), 56).shape
    (2, 1, 56, 56)
    """
    import torch
    from torch.nn.functional import interpolate

    resized = np.empty((*x.shape[:2], size, size), np.uint8)
    for start in range(0, len(x), RESIZE_BATCH):
        images = torch.from_numpy(x[start : start + RESIZE_BATCH])
        images = interpolate(images, (size, size), mode="bilinear", antialias=True)
        resized[start : start + RESIZE_BATCH] = images.numpy()
    return resized


def read_parts(name: str, paths: Mapping[str, Path], n_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images ``(N, 1, H, W)``, labels ``(N,)`` and official parts ``(N,)``.

    Args:
        name: of the set, for errors.
        paths: of each of `FILES`.
        n_classes: number of classes.

    Raises:
        DataError: images and labels do not fit together.
    """
    train, test = (read_pair(paths[FILES[part][0]], paths[FILES[part][1]], n_classes) for part in ("train", "test"))
    return stack_parts(name, train, test)


def stack_parts(
    name: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images ``(N, 1, H, W)``, labels ``(N,)`` and official parts ``(N,)`` of the two parts together.

    Raises:
        DataError: their images have different sizes.
    """
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            Message(
                "{name}: training images of {train_shape} and test images of {test_shape} pixels",
                name=name,
                train_shape=train[0].shape[1:],
                test_shape=test[0].shape[1:],
            ),
            Message("use four files of one set"),
        )
    x = np.concatenate([train[0], test[0]])[:, None]
    part = np.repeat(np.array([0, 2], np.int8), [len(train[0]), len(test[0])])
    return x, np.concatenate([train[1], test[1]]), part


def read_pair(
    images_path: Path, labels_path: Path, n_classes: int, *, first_label: int = 0, column: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 ``(N, H, W)`` and class numbers int64 ``(N,)`` from two files.

    Args:
        images_path: of the images.
        labels_path: of the labels.
        n_classes: number of classes.
        first_label: the label of the first class.
        column: which column of the labels is the class, if they are a table of int32.

    Raises:
        DataError: the files do not fit together, or have another format.
    """
    images, labels = idx.read(images_path), idx.read(labels_path)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(
            Message(
                "{images_path} should hold images (N, H, W) in bytes, got an array {shape} of {dtype}",
                images_path=images_path,
                shape=images.shape,
                dtype=images.dtype,
            ),
            Message("check that the files of images and labels are not swapped"),
        )
    is_table = column is not None
    has_format = labels.dtype == (np.int32 if is_table else np.uint8) and labels.ndim == 1 + is_table
    if not has_format or len(labels) != len(images) or (column is not None and labels.shape[1] <= column):
        rows = f"{len(images):,}"
        expected = Message("{rows} rows of labels in int32", rows=rows)
        if not is_table:
            expected = Message("{rows} labels in bytes", rows=rows)
        raise DataError(
            Message(
                "{labels_path} should hold {expected}, got an array {shape} of {dtype}",
                labels_path=labels_path,
                expected=expected,
                shape=labels.shape,
                dtype=labels.dtype,
            ),
            Message("use images and labels of one set"),
        )
    y = (labels if column is None else labels[:, column]).astype(np.int64) - first_label
    if y.min() < 0 or y.max() >= n_classes:
        row = int(np.argmax((y < 0) | (y >= n_classes)))
        raise DataError(
            Message(
                "{labels_path} has the label {label} in row {row}; there are {n_classes} classes, from {first_label}",
                labels_path=labels_path,
                label=y[row] + first_label,
                row=row,
                n_classes=n_classes,
                first_label=first_label,
            ),
            Message("use the file of this set"),
        )
    return images, y
