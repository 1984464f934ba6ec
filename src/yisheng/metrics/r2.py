"""Coefficient of determination."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._regression_errors import compute_errors
from yisheng.metrics.bootstrap import Bounds, compute_percentile_interval, resample_means


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    varying = _varying_targets(y)
    if not varying.any():
        return float("nan"), float("nan")
    y, prediction = y[:, varying], prediction[:, varying]
    centered = (y - y.mean(axis=0, dtype=np.float64)) / y.std(axis=0, dtype=np.float64)
    errors = compute_errors(y, prediction) / y.std(axis=0, dtype=np.float64)
    means = resample_means(np.concatenate([errors**2, centered, centered**2], axis=1))
    squared_error, mean, mean_square = np.split(means, 3, axis=1)
    return compute_percentile_interval((1 - squared_error / (mean_square - mean**2)).mean(axis=1), len(y))


def _varying_targets(y: np.ndarray) -> np.ndarray:
    """Return a mask ``(T,)`` of the targets that have more than one value."""
    return (y != y[:1]).any(axis=0)


@register(
    fits=lambda spec: spec.task == "regression",
    requires="a number as its target",
    default_for=lambda spec: spec.task == "regression" and spec.outputs > 1,
    reported=lambda spec: spec.task == "regression",
    interval=_interval,
)
def r2(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the coefficient of determination: 1 - sum of (y' - y)² / sum of (y - mean y)², a mean over the targets.

    Predicting the mean gives 0, and a worse prediction a negative value. It has no unit, so that the mean over targets
    of different units has a meaning. Constant targets are left out; if all are constant, it is NaN.

    Source: Wright, "Correlation and causation", Journal of Agricultural Research 20, 1921.

    >>> round(r2(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]])), 3)
    0.5
    """
    varying = _varying_targets(y)
    if not varying.any():
        return float("nan")
    total = ((y - y.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=0)
    return float((1 - (compute_errors(y, prediction) ** 2).sum(axis=0)[varying] / total[varying]).mean())
