"""The binary files of CIFAR: records of some labels and 3,072 pixels, all in bytes.

    label | ... | 1,024 red | 1,024 green | 1,024 blue      each row by row

The sets are also published as Python pickles, which are never opened here: a pickle can run any code.
Source: Krizhevsky, the CIFAR-10 and CIFAR-100 datasets, "Binary version".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MOST = 60_000
"""Most records of one file: more than any of them has."""


def read(folder: Path, names: Sequence[str], counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images ``(N, 3, 32, 32)``, labels ``(N, len(counts))`` and records of each file.

    Args:
        folder: where they lie.
        names: the files, in order.
        counts: how many classes each label has.

    Raises:
        DataError: a file is missing, cut off, or holds something else.
    """
    size = len(counts) + PIXELS
    sizes = np.array([_records(folder / name, size) for name in names])
    x, y = np.empty((sizes.sum(), *SHAPE), np.uint8), np.empty((sizes.sum(), len(counts)), np.int64)
    at = 0
    for name, count in zip(names, sizes.tolist(), strict=True):
        records = np.fromfile(folder / name, np.uint8).reshape(count, size)
        y[at : at + count] = records[:, : len(counts)]
        x[at : at + count] = records[:, len(counts) :].reshape(count, *SHAPE)
        wrong = y[at : at + count] >= counts
        if wrong.any():
            row, label = (int(n) for n in np.argwhere(wrong)[0])
            raise DataError(
                f"{folder / name} has the label {y[at + row, label]} in record {row}; "
                f"there are {counts[label]} classes",
                "take the file of this set",
            )
        at += count
    return x, y, sizes


def names_in(path: Path, count: int) -> tuple[str, ...]:
    """The class names of a text file, one on each line.

    Raises:
        DataError: there are not as many, or it cannot be read.
    """
    try:
        names = tuple(line.strip().replace("_", " ") for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", "fetch the set again") from None
    names = tuple(filter(None, names))
    if len(names) != count:
        raise DataError(f"{path} should name {count} classes, got {len(names)}", "fetch the set again")
    return names


def _records(path: Path, size: int) -> int:
    try:
        length = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "fetch the set again") from None
    if length == 0 or length % size or length // size > MOST:
        raise DataError(
            f"{path} should hold records of {size:,} bytes, {MOST:,} at most, got {length:,} bytes",
            "fetch the set again",
        )
    return length // size
