"""Reading the training part in chunks: some rows of a block, in slices of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.input_spec import InputSpec
from yisheng.core.messages import Message, plural_message

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


class InputValues:
    """One input of some rows of a packed block, which looks like an array and is read slice by slice.

    Args:
        x: the block, uint8 ``(N, nbytes)``.
        item: the input.
        start: its first byte in a row.
    """

    def __init__(self, x: np.ndarray | RowSubset, item: InputSpec, start: int) -> None:
        self.x, self.item, self.start = x, item, start
        self.dtype = np.dtype(item.dtype)
        self.shape = (len(x), *item.shape)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, part: slice) -> np.ndarray:
        rows = np.ascontiguousarray(self.x[part][:, self.start : self.start + self.item.nbytes])
        return rows.view(self.dtype).reshape(-1, *self.item.shape)


def split_inputs(x: np.ndarray | RowSubset, inputs: Sequence[InputSpec]) -> list[Any]:
    """Return each input of a packed block; the block itself if there is only one. One value a row is one column.

    Args:
        x: the block ``(N, ...)``, or some of its rows.
        inputs: what a row holds; empty for one input.
    """
    starts = np.cumsum([0, *(item.nbytes for item in inputs)]).tolist()
    with_axes = [replace(item, shape=item.shape or (1,)) for item in inputs]
    return [InputValues(x, item, start) for item, start in zip(with_axes, starts, strict=False)] or [x]


def count_columns(x: np.ndarray | RowSubset) -> int:
    """Return the number of columns of rows ``(N, D)`` and sequences ``(N, T, D)``, or of channels ``(N, C, ...)``.

    Raises:
        DataError: there are no rows, or the array has no axis of columns.
    """
    if x.ndim < 2:
        raise DataError(
            Message(
                "a transform is fitted on rows (N, D) or images (N, C, H, W), got an array of shape {shape}",
                shape=tuple(x.shape),
            ),
            Message("add an axis for the columns, as in x.reshape(len(x), -1)"),
        )
    if not len(x):
        raise DataError(
            Message("the training part has no rows to fit a transform on"), Message("make the other parts smaller")
        )
    return int(x.shape[channel_axis(x.ndim)])


def channel_axis(ndim: int) -> int:
    """Return the axis that holds columns or channels in arrays with this number of axes.

    >>> [channel_axis(ndim) for ndim in (2, 3, 4, 5)]
    [1, 2, 1, 1]
    """
    return 2 if ndim == 3 else 1


def iterate_chunks(x: np.ndarray | RowSubset) -> Iterator[np.ndarray]:
    """Yield slices of rows with `CHUNK_VALUES` values or one row each, as ``(n, C, pixels)``; rows have one pixel."""
    size, channels = max(1, CHUNK_VALUES // max(1, int(np.prod(x.shape[1:])))), count_columns(x)
    for start in range(0, len(x), size):
        chunk = x[start : start + size]
        if x.ndim == 3:
            chunk = chunk.swapaxes(1, 2)
        yield chunk.reshape(len(chunk), channels, -1)


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
    values = {"names": ", ".join(names), "part": part}
    raise DataError(
        Message(
            "missing or infinite values in columns {names} and {count} more of the {part} part",
            count=len(indices) - 5,
            **values,
        )
        if len(indices) > 5
        else plural_message(
            len(indices),
            "missing or infinite values in column {names} of the {part} part",
            "missing or infinite values in columns {names} of the {part} part",
            **values,
        ),
        Message("fill them in, or leave out those rows or columns"),
    )
