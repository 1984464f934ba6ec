"""Metrics that depend on the rows only through a value of each row, so that resampled rows need not be scored again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def compute_mean(values: np.ndarray) -> float:
    """Return the mean of all values, or NaN if there are none.

    >>> compute_mean(np.array([True, False, True, True]))
    0.75
    """
    return float(values.mean()) if len(values) else float("nan")


@dataclass(frozen=True)
class RowStatistic:
    """A metric as a number that is computed from values of single rows: ``reduce(values(y, prediction))``.

    Args:
        values: ``f(y, prediction) -> (N, ...)``; a row's values do not depend on the other rows.
        reduce: the metric of the values of some rows.

    >>> squares = RowStatistic(lambda y, prediction: (y - prediction) ** 2)
    >>> squares.compute(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """

    values: Callable[[np.ndarray, np.ndarray], np.ndarray]
    reduce: Callable[[np.ndarray], float] = compute_mean

    def compute(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Return the metric."""
        return self.reduce(self.values(y, prediction))
