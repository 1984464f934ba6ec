"""Partial dependence: the mean prediction if a column has one value in all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from yisheng.core.spec import Spec
from yisheng.evaluation.column_values import is_number

MAX_POINTS = 15
"""Values at which a number is tried."""
MAX_CATEGORIES = 12
"""Categories that are tried, the most frequent ones."""
OUTER_FRACTION = 0.02
"""Fraction of the rows beyond each end of the values that are tried: the model knows little about them."""


@dataclass(frozen=True)
class PartialDependence:
    """Predictions by the value of one column.

    Args:
        grid: the values ``(G,)``, raw; NaN is a missing value.
        mean: mean prediction at each value ``(G, O)``.
        low: 10% quantile over the rows ``(G, O)``.
        high: 90% quantile over the rows ``(G, O)``.
    """

    grid: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def choose_grid(spec: Spec, x: np.ndarray, column: int) -> np.ndarray:
    """Return the values of a column to try: quantiles of a number, the most frequent categories.

    Args:
        spec: the contract of the raw rows.
        x: raw rows ``(N, D)``.
        column: position of the input column.

    >>> choose_grid(Spec("regression", (1,)), np.array([[1.0], [5.0], [np.nan]]), 0).tolist()
    [1.0, 5.0]
    """
    values = x[:, column].astype(np.float64)
    present, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if is_number(spec, column):
        if len(present) > MAX_POINTS:
            quantiles = np.linspace(OUTER_FRACTION, 1 - OUTER_FRACTION, MAX_POINTS)
            present = np.unique(np.nanquantile(values, quantiles, method="nearest"))
        return present
    frequent = np.sort(present[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]])
    return np.append(frequent, np.nan) if np.isnan(values).any() else frequent


def compute_partial_dependence(
    predict: Callable[[np.ndarray], np.ndarray], x: np.ndarray, column: int, grid: np.ndarray
) -> PartialDependence:
    """Compute the mean prediction of some rows if one column has the same value in all of them.

    Rows with combinations of values that do not exist count too: where columns depend on each other, this shows what
    the model would say about rows that it has never seen.

    Args:
        predict: raw rows ``(N, D)`` to outputs ``(N, O)``.
        x: raw rows ``(N, D)``; unchanged afterwards.
        column: position of the input column.
        grid: its values ``(G,)``.

    Source: Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29, 2001,
    section 8.2.

    >>> result = compute_partial_dependence(lambda x: x[:, :1] * 2, np.zeros((3, 2)), 0, np.array([1.0, 4.0]))
    >>> result.mean.tolist()
    [[2.0], [8.0]]
    """
    changed = np.repeat(x[None], len(grid), axis=0)
    changed[:, :, column] = grid[:, None]
    flat = changed.reshape(len(grid) * len(x), -1)
    outputs = np.asarray(predict(flat), np.float64).reshape(len(grid), len(x), -1)
    low, high = np.quantile(outputs, [0.1, 0.9], axis=1)
    return PartialDependence(grid, outputs.mean(axis=1), low, high)
