"""Reading the training part in chunks: some rows of a block, in slices of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from yisheng.core.errors import DataError

CHUNK_VALUES = 1 << 18
"""Values per chunk: two mebibytes as float64, which a processor's cache holds."""


class RowSubset:
    """Some rows of an array, which look like an array themselves and are gathered slice by slice.

    >>> part = RowSubset(np.arange(10.0), np.array([1, 5, 9]))
    >>> len(part), part[0:2]
    (3, array([1., 5.]))
    """

    def __init__(self, x: np.ndarray, rows: np.ndarray) -> None:
        self.x, self.rows = x, rows
        self.dtype = x.dtype
        self.shape = (len(rows), *x.shape[1:])
        self.ndim = x.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> np.ndarray:
        values: np.ndarray = self.x[self.rows[part]]
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.x[self.rows].astype(dtype or self.dtype, copy=False)


def count_columns(x: np.ndarray | RowSubset) -> int:
    """Return the number of channels of images ``(N, C, H, W)``, or of columns of rows ``(N, D)``.

    Raises:
        DataError: there are no rows, or the array has another number of axes.
    """
    if x.ndim not in (2, 4):
        raise DataError(
            f"a transform is fitted on rows (N, D) or images (N, C, H, W), got an array of shape {tuple(x.shape)}",
            "add an axis for the columns, as in x.reshape(len(x), -1)",
        )
    if not len(x):
        raise DataError("the training part has no rows to fit a transform on", "make the other parts smaller")
    return int(x.shape[1])


def iterate_chunks(x: np.ndarray | RowSubset) -> Iterator[np.ndarray]:
    """Yield slices of rows with `CHUNK_VALUES` values or one row each, as ``(n, C, pixels)``; rows have one pixel."""
    size = max(1, CHUNK_VALUES // max(1, int(np.prod(x.shape[1:]))))
    for start in range(0, len(x), size):
        yield x[start : start + size].reshape(-1, x.shape[1], int(np.prod(x.shape[2:])))


def compute_std(squares: np.ndarray, mean: np.ndarray, count: Any) -> np.ndarray:
    """Return population standard deviations to divide by: 1 where all values are equal.

    Args:
        squares: sums of squared deviations from the mean ``(D,)``.
        mean: mean of each column ``(D,)``.
        count: number of values, one for all columns or one for each.
    """
    variance = squares / np.maximum(count, 1)
    # A constant column has a variance of rounding errors; the bound is scikit-learn's.
    eps = np.finfo(np.float64).eps
    constant = variance <= count * eps * variance + (count * mean * eps) ** 2
    std: np.ndarray = np.sqrt(variance)
    std[constant | (std < np.finfo(np.float32).tiny)] = 1.0
    return std


def require_finite(x: np.ndarray | RowSubset, columns: Sequence[str] = (), part: str = "training") -> None:
    """Check that no value is missing or infinite.

    Args:
        x: rows or images.
        columns: names of the columns for the error.
        part: name of the part for the error.

    Raises:
        DataError: a value is missing or infinite; the error names the columns.
    """
    nonfinite = np.zeros(count_columns(x), dtype=bool)
    if not np.issubdtype(x.dtype, np.floating):
        return
    for chunk in iterate_chunks(x):
        nonfinite |= ~np.isfinite(chunk).all(axis=(0, 2))
    if nonfinite.any():
        raise_nonfinite(nonfinite, columns, part)


def raise_nonfinite(nonfinite: np.ndarray, columns: Sequence[str] = (), part: str = "training") -> NoReturn:
    """Raise the error about missing or infinite values.

    Args:
        nonfinite: mask of the columns with such values ``(D,)``.
        columns: names of the columns; without them they are numbered.
        part: name of the part.

    Raises:
        DataError: always.
    """
    indices = np.flatnonzero(nonfinite)
    names = [columns[i] if len(columns) == len(nonfinite) else f"number {i + 1}" for i in indices[:5]]
    suffix = f" and {len(indices) - 5} more" if len(indices) > 5 else ""
    plural = "s" if len(indices) > 1 else ""
    raise DataError(
        f"missing or infinite values in column{plural} {', '.join(names)}{suffix} of the {part} part",
        "fill them in, or leave out those rows or columns",
    )
