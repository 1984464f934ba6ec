"""Columns whose sum, difference, product or ratio is the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_COLUMNS, MIN_ROWS_PER_COLUMN = 100, 5
"""Columns that are examined, and rows that determine the weight of each."""
MAX_ERROR, MAX_WEIGHT_ERROR = 1e-9, 1e-3
"""Fraction of the variance that a sum of float32 numbers leaves, and deviation of weights from equal ones."""
MAX_FRACTION = 0.5
"""Fraction of the columns in the sum: where all columns make up the target, it was computed from them."""
MIN_REMAINING_R2, MAX_REMAINING_R2 = 0.2, 0.99
"""R² of the columns outside the sum: they speak of the target, too, as measurements before it do, and less than all.
Of a target that was made from some columns for practice, the others say nothing."""

MIN_PARTS_OF_MEAN = 2
"""Columns next to a mean: 2 a - b is also the line through two values of the same series."""


@dataclass(frozen=True)
class TargetSum:
    """Columns that determine the target together.

    Args:
        columns: their numbers.
        remaining_r2: R² of a line of the other columns.
        is_product: whether the target is their product or ratio, not their sum or difference.
    """

    columns: list[int]
    remaining_r2: float
    is_product: bool = False


def find_target_sum(x: np.ndarray, y: np.ndarray) -> TargetSum | None:
    """Return a few columns whose sum or difference, mean or product is the target, or None.

    A mean m = (y + a + b) / 3 of the target and other columns is the same: y = 3 m - a - b.

    Args:
        x: columns ``(N, D)``.
        y: numeric targets ``(N,)``.

    >>> rng = np.random.default_rng(0)
    >>> size = rng.normal(size=(200, 1))
    >>> x = size + rng.normal(size=(200, 4))
    >>> find_target_sum(x, x[:, 0] + x[:, 2]).columns
    [0, 2]
    """
    usable = np.flatnonzero(np.isfinite(x).all(0) & (np.ptp(x, axis=0) > 0))
    if not 3 <= len(usable) <= MAX_COLUMNS or len(y) < MIN_ROWS_PER_COLUMN * len(usable) or not np.isfinite(y).all():
        return None
    columns = x[:, usable]
    total = _find_sum(columns, y)
    if total is None and (y > 0).all():
        positive = np.flatnonzero((columns > 0).all(0))
        logarithms = columns.copy()
        logarithms[:, positive] = np.log(columns[:, positive])
        total = _find_sum(logarithms, np.log(y))
        if total is not None and not set(total.columns) <= set(positive.tolist()):
            return None
        total = None if total is None else TargetSum(total.columns, total.remaining_r2, is_product=True)
    return None if total is None else TargetSum(usable[total.columns].tolist(), total.remaining_r2, total.is_product)


def _find_sum(x: np.ndarray, y: np.ndarray) -> TargetSum | None:
    """Return the columns of an exact sum with equal weights, except for one that may be the mean of all of them."""
    std = x.std(0)
    z = (x - x.mean(0)) / std
    if _measure_error(z, y) > MAX_ERROR:
        return None
    columns = list(range(x.shape[1]))
    for column in range(x.shape[1]):
        remaining = [i for i in columns if i != column]
        if remaining and _measure_error(z[:, remaining], y) <= MAX_ERROR:
            columns = remaining
    unused = [i for i in range(x.shape[1]) if i not in columns]
    weights = np.linalg.lstsq(z[:, columns], y - y.mean(), rcond=None)[0] / std[columns]
    remaining_r2 = 1 - _measure_error(z[:, unused], y) if unused else 0.0
    is_sum = _are_equal(weights) and 2 <= len(columns) <= MAX_FRACTION * x.shape[1] and remaining_r2 >= MIN_REMAINING_R2
    is_reported = remaining_r2 <= MAX_REMAINING_R2 and (is_sum or _has_mean(weights))
    return TargetSum(columns, remaining_r2) if is_reported else None


def _are_equal(weights: np.ndarray) -> bool:
    """Return whether weights are those of a sum or a difference."""
    sizes = np.abs(weights)
    return bool(np.ptp(sizes) <= MAX_WEIGHT_ERROR * sizes.max())


def _has_mean(weights: np.ndarray) -> bool:
    """Return whether a column is the mean of the target and all others, at least two: 3 m - a - b.

    >>> _has_mean(np.array([-1.0, 3.0, -1.0])), _has_mean(np.array([2.0, -1.0, -1.0]))
    (True, False)
    """
    mean = int(np.abs(weights).argmax())
    parts = np.delete(weights, mean) / weights[mean]
    if len(parts) < MIN_PARTS_OF_MEAN:
        return False
    is_equal = np.ptp(parts) <= MAX_WEIGHT_ERROR * np.abs(parts).max()
    return bool(is_equal and abs(parts.mean() + 1 / (len(parts) + 1)) <= MAX_WEIGHT_ERROR)


def _measure_error(z: np.ndarray, y: np.ndarray) -> float:
    """Return the fraction of the variance that a line of standardized columns leaves."""
    target = y - y.mean()
    weights = np.linalg.lstsq(z, target, rcond=None)[0]
    return float(((target - z @ weights) ** 2).mean() / max(float(target.var()), 1e-300))
