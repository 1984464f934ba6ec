"""Columns that summarize the targets of several successive rows, with that of their own row among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from yisheng.core.messages import Message

MAX_ROWS, MIN_ROWS, MIN_ROWS_PER_LENGTH = 4000, 60, 5
"""Successive rows that are examined, that are required, and that are required for each row of a window."""
LENGTHS = (*range(2, 32), 52, 60, 90, 100, 180, 365)
"""Rows of the windows that are tried: up to a month of days, and the usual lengths of weeks, quarters and years."""
MAX_SORTED_LENGTH = 14
"""Rows of the windows of a summary other than the mean."""
MAX_ERROR, MIN_ERROR = 1e-6, 1e-3
"""1 - r² of a column that is a summary (float32 and sums of many rows leave 1e-10), and of the same summary without the
present row: the column is not what it is by coincidence."""
MAX_WEIGHT_ERROR = 1e-3
"""Deviation from 1 of the sum of the weights of a running mean; a state that targets drive has other ones."""
MAX_ORDER, MIN_INNOVATION = 16, 1e-3
"""Rows before from which a target is predicted by least squares, and the fraction of its variance that must remain: of
a sine or a line, the summaries of some rows are those of others."""


@dataclass(frozen=True)
class TargetWindow:
    """A column that summarizes successive targets.

    Args:
        column: its number.
        summary: what it is of them, such as ``mean``.
        length: number of rows.
    """

    column: int
    summary: Message
    length: int


def find_target_window(x: np.ndarray, y: np.ndarray) -> TargetWindow | None:
    """Return a column that is a mean, an extreme or a deviation of targets up to the present row's, or None.

    Args:
        x: columns of successive rows ``(N, D)``.
        y: their numeric targets ``(N,)``.

    >>> y = np.random.default_rng(0).normal(size=200)
    >>> x = np.stack([y[1:-1], (y[2:] + y[1:-1] + y[:-2]) / 3], 1)
    >>> window = find_target_window(x, y[2:])
    >>> window.column, window.length
    (1, 3)
    """
    if len(y) < MIN_ROWS or not np.isfinite(y).all() or _is_predictable(y):
        return None
    for summary, length, first, values in _list_summaries(y):
        errors = _measure_errors(x[first : first + len(values)], values)
        for column in np.flatnonzero(errors < MAX_ERROR):
            values_before = values[: len(y) - length]
            if _measure_errors(x[length:, [column]], values_before)[0] > MIN_ERROR:
                return TargetWindow(int(column), summary, length)
    return _find_running_mean(x, y)


def _list_summaries(y: np.ndarray) -> Iterator[tuple[Message, int, int, np.ndarray]]:
    """Yield summaries of successive targets: name, length, the first row that has one, and its values from there on.

    All are those of windows that begin with the first row, so that the same values belong to windows that end at the
    present row, and, of a mean, to those around it.
    """
    functions: list[tuple[Message, Callable[..., np.ndarray]]] = [
        (Message("highest"), np.max),
        (Message("lowest"), np.min),
        (Message("standard deviation"), np.std),
        (Message("median"), np.median),
    ]
    for length in LENGTHS:
        if len(y) < MIN_ROWS_PER_LENGTH * length:
            return
        windows = np.lib.stride_tricks.sliding_window_view(y, length)
        means = windows.mean(1)
        yield Message("mean"), length, length - 1, means
        if length % 2:
            yield Message("centered mean"), length, length // 2, means
        if length <= MAX_SORTED_LENGTH:
            for name, function in functions:
                if function is not np.median or length > 2:  # that of two is their mean
                    yield name, length, length - 1, function(windows, axis=1)


def _find_running_mean(x: np.ndarray, y: np.ndarray) -> TargetWindow | None:
    """Return a column that is its value of the row before, moved by a fraction of the way to the present target."""
    for column in range(x.shape[1]):
        values = x[:, column]
        if not np.isfinite(values).all() or np.ptp(values) == 0:
            continue
        previous, current = values[:-1], values[1:]
        design = np.stack([previous, y[1:], np.ones(len(current))], 1)
        weights, error = _solve(design, current)
        alone = _solve(design[:, [0, 2]], current)[1]
        is_mean = 0 < weights[0] < 1 and abs(weights[0] + weights[1] - 1) < MAX_WEIGHT_ERROR
        if is_mean and error < MAX_ERROR * alone and alone > MIN_ERROR:
            return TargetWindow(column, Message("running mean"), 0)
    return None


def _is_predictable(y: np.ndarray) -> bool:
    """Return whether least squares on the rows before predict a target nearly exactly, or it is constant."""
    order = min(MAX_ORDER, len(y) // MIN_ROWS_PER_LENGTH)
    if np.ptp(y) == 0:
        return True
    windows = np.lib.stride_tricks.sliding_window_view(y, order)[:-1]
    return _solve(np.c_[windows, np.ones(len(windows))], y[order:])[1] < MIN_INNOVATION


def _solve(design: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the weights of least squares, and the fraction of the variance that remains."""
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    return weights, float(((y - design @ weights) ** 2).mean() / max(float(y.var()), 1e-300))


def _measure_errors(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return 1 - r² of each column with some values; 1 for a column that is constant or has missing values."""
    with np.errstate(all="ignore"):
        a, b = x - x.mean(0), values - values.mean()
        squares = (a.T @ b) ** 2 / ((a**2).sum(0) * (b**2).sum())
    return 1 - np.where(np.isfinite(squares), squares, 0.0)
