"""The binary files of CIFAR: records of one or two labels and 3,072 pixels, all in bytes.

    label | ... | 1,024 red | 1,024 green | 1,024 blue      each row by row

The sets are also published as Python pickles, which are never opened here: a pickle can run any code.
Source: Krizhevsky, the CIFAR-10 and CIFAR-100 datasets, "Binary version".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MAX_RECORDS = 60_000
"""Most records of one file: no file of these sets has more."""


def read(folder: Path, names: Sequence[str], n_classes: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images ``(N, 3, 32, 32)``, labels ``(N, len(n_classes))`` and the number of records of each file.

    Args:
        folder: of the files.
        names: the files, in order.
        n_classes: number of classes of each label.

    Raises:
        DataError: a file is missing, cut off, or has another format.
    """
    record_bytes = len(n_classes) + PIXELS
    sizes = np.array([_count_records(folder / name, record_bytes) for name in names])
    x, y = np.empty((sizes.sum(), *SHAPE), np.uint8), np.empty((sizes.sum(), len(n_classes)), np.int64)
    start = 0
    for name, size in zip(names, sizes.tolist(), strict=True):
        records = np.fromfile(folder / name, np.uint8).reshape(size, record_bytes)
        labels = y[start : start + size]
        labels[:] = records[:, : len(n_classes)]
        x[start : start + size] = records[:, len(n_classes) :].reshape(size, *SHAPE)
        invalid = labels >= n_classes
        if invalid.any():
            row, column = (int(n) for n in np.argwhere(invalid)[0])
            raise DataError(
                Message(
                    "{path} has the label {label} in record {row}; there are {n_classes} classes",
                    path=folder / name,
                    label=labels[row, column],
                    row=row,
                    n_classes=n_classes[column],
                ),
                Message("use the file of this set"),
            )
        start += size
    return x, y, sizes


def read_class_names(path: Path, n_classes: int) -> tuple[str, ...]:
    """Return the class names in a text file, one per line.

    Raises:
        DataError: their number is another, or the file cannot be read.
    """
    try:
        names = tuple(line.strip().replace("_", " ") for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise DataError(
            Message("{path} cannot be read: {error}", path=path, error=error), Message("download the set again")
        ) from None
    names = tuple(filter(None, names))
    if len(names) != n_classes:
        raise DataError(
            Message(
                "{path} should name {n_classes} classes, got {count}", path=path, n_classes=n_classes, count=len(names)
            ),
            Message("download the set again"),
        )
    return names


def _count_records(path: Path, record_bytes: int) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=describe_os_error(error)),
            Message("download the set again"),
        ) from None
    if size == 0 or size % record_bytes or size // record_bytes > MAX_RECORDS:
        raise DataError(
            Message(
                "{path} should hold records of {record_bytes} bytes, {max_records} at most, got {size} bytes",
                path=path,
                record_bytes=f"{record_bytes:,}",
                max_records=f"{MAX_RECORDS:,}",
                size=f"{size:,}",
            ),
            Message("download the set again"),
        )
    return size // record_bytes
