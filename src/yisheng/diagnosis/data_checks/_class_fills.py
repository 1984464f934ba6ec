"""Columns whose missing values were filled in with a number of the row's class, or of rows with similar targets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

MIN_ROWS_PER_VALUE, MAX_VALUES = 10, 60
"""Rows with one and the same number in a column of measurements, from which on it was filled in; and such numbers."""
MIN_MEASURED, MIN_DISTINCT_FRACTION = 30, 0.9
"""Rows of the column with a number of their own, and their fraction of the rows that are not filled in: measurements
hardly ever coincide."""
MIN_PARTS = {True: 2, False: 3}
"""Numbers that each belong to one class (True), or to one interval of numeric targets (False): 3 times 10 rows are in
disjoint intervals at random in fewer than 1 of 10^11 columns."""
MIN_MEASURED_OF_PART = 5
"""Measurements of a class or interval, with fewer of which its center is not known."""
MAX_DISTANCE_IN_STDS, MIN_RANK = 0.5, 0.15
"""Distance of the number from the mean of the part's measurements, and fraction of them on each side of it: ends of a
range, where a sensor stops, are farther away and have no measurements on one side."""


def find_class_fills(x: np.ndarray, y: np.ndarray, *, is_classification: bool) -> tuple[list[int], int]:
    """Return the columns that were filled in with a number of the row's class, and how many values were.

    In such a column several numbers recur while all others are measurements, and each recurring number is that of rows
    of one class only (or of one interval of a numeric target), near the mean of the measurements there.

    Args:
        x: columns ``(N, D)``.
        y: class numbers or numeric targets ``(N,)``.
        is_classification: whether the targets are classes.

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(200) % 2
    >>> x = rng.normal(size=(200, 1)) + y[:, None]
    >>> x[:80, 0] = np.where(y[:80] == 1, x[80:][y[80:] == 1].mean(), x[80:][y[80:] == 0].mean())
    >>> find_class_fills(x, y, is_classification=True)
    ([0], 80)
    """
    counts = [_count_fills(column, y, is_classification=is_classification) for column in x.T]
    return [i for i, count in enumerate(counts) if count], sum(counts)


def _count_fills(column: np.ndarray, y: np.ndarray, *, is_classification: bool) -> int:
    """Return how many values of a column were filled in by class; 0 if none were, or by another rule."""
    values, value_index, counts = np.unique(column, return_inverse=True, return_counts=True)
    is_number = np.isfinite(values)
    repeated = np.flatnonzero((counts >= MIN_ROWS_PER_VALUE) & is_number)
    if not MIN_PARTS[is_classification] <= len(repeated) <= MAX_VALUES:
        return 0
    row_counts = counts[value_index]
    is_measured = (row_counts < MIN_ROWS_PER_VALUE) & is_number[value_index]
    measured = int(is_measured.sum())
    if measured < MIN_MEASURED or int((row_counts == 1)[is_measured].sum()) < MIN_DISTINCT_FRACTION * measured:
        return 0
    rows = [value_index == number for number in repeated]
    parts = _split_by_class(y, rows) if is_classification else _split_by_interval(y, rows)
    if parts is None:
        return 0
    for number, part in zip(repeated, parts, strict=True):
        if not _is_center(float(values[number]), column[part & is_measured]):
            return 0
    return int(counts[repeated].sum())


def _split_by_class(y: np.ndarray, rows: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """Return the rows of the only class of each group, or None if one has several or all have the same."""
    classes = [np.unique(y[part]) for part in rows]
    if any(len(values) > 1 for values in classes) or len({int(values[0]) for values in classes}) < 2:
        return None
    return [y == values[0] for values in classes]


def _split_by_interval(y: np.ndarray, rows: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """Return the rows whose targets are in the interval of each group, or None if two intervals overlap."""
    intervals = [(float(y[part].min()), float(y[part].max())) for part in rows]
    ordered = sorted(intervals)
    if any(high >= next_low for (_, high), (next_low, _) in itertools.pairwise(ordered)):
        return None
    return [(y >= low) & (y <= high) for low, high in intervals]


def _is_center(value: float, measured: np.ndarray) -> bool:
    """Return whether a number is near the mean of measurements, with measurements on both sides."""
    if len(measured) < MIN_MEASURED_OF_PART:
        return False
    rank = float((measured < value).mean())
    is_near = abs(value - float(measured.mean())) <= MAX_DISTANCE_IN_STDS * float(measured.std())
    return is_near and MIN_RANK <= rank <= 1 - MIN_RANK
