"""Reading the training part piece by piece: some rows of a block, in slices of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from yisheng.core.errors import DataError

PIECE = 1 << 18
"""Values per piece: as float64 two mebibytes, which a processor's cache holds."""


class Gather:
    """Some rows of an array as if they were an array of their own, gathered slice by slice.

    >>> part = Gather(np.arange(10.0), np.array([1, 5, 9]))
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
        found: np.ndarray = self.x[self.rows[part]]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.x[self.rows].astype(dtype or self.dtype, copy=False)


def width(x: np.ndarray | Gather) -> int:
    """Number of channels or columns.

    Raises:
        DataError: there is no row, or an input is neither an image nor a row.
    """
    if x.ndim not in (2, 4):
        raise DataError(
            f"a transform is fitted on rows (N, D) or images (N, C, H, W), got an array of shape {tuple(x.shape)}",
            "give it an axis for the columns",
        )
    if not len(x):
        raise DataError("the training part has no rows to fit a transform on", "make the other parts smaller")
    return int(x.shape[1])


def pieces(x: np.ndarray | Gather) -> Iterator[np.ndarray]:
    """Slices of rows with `PIECE` values or one row each, as ``(n, C, pixels)``; rows have one pixel."""
    size = max(1, PIECE // max(1, int(np.prod(x.shape[1:]))))
    for start in range(0, len(x), size):
        yield x[start : start + size].reshape(-1, x.shape[1], int(np.prod(x.shape[2:])))


def spread(squares: np.ndarray, mean: np.ndarray, count: Any) -> np.ndarray:
    """Standard deviations (divided by the number of values) to scale by: 1 where all values are the same.

    Args:
        squares: sums of squared deviations from the mean ``(D,)``.
        mean: of each column ``(D,)``.
        count: of values, one for all or one for each column.
    """
    variance = squares / np.maximum(count, 1)
    # What is left of a constant column after rounding is no spread (the bound is scikit-learn's).
    eps = np.finfo(np.float64).eps
    constant = variance <= count * eps * variance + (count * mean * eps) ** 2
    std: np.ndarray = np.sqrt(variance)
    std[constant | (std < np.finfo(np.float32).tiny)] = 1.0
    return std


def require_finite(x: np.ndarray | Gather, columns: Sequence[str] = (), part: str = "training") -> None:
    """See that no value is missing or infinite.

    Raises:
        DataError: one is; the error names the columns.
    """
    bad = np.zeros(width(x), dtype=bool)
    if not np.issubdtype(x.dtype, np.floating):
        return
    for piece in pieces(x):
        bad |= ~np.isfinite(piece).all(axis=(0, 2))
    if bad.any():
        refuse(bad, columns, part)


def refuse(bad: np.ndarray, columns: Sequence[str] = (), part: str = "training") -> NoReturn:
    """Raise the error about the columns where ``bad (D,)`` holds."""
    numbers = np.flatnonzero(bad)
    shown = [columns[i] if len(columns) == len(bad) else f"number {i + 1}" for i in numbers[:5]]
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    plural = "s" if len(numbers) > 1 else ""
    raise DataError(
        f"missing or infinite values in column{plural} {', '.join(shown)}{more} of the {part} part",
        "fill them in, or leave out those rows or columns",
    )
