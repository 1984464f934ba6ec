"""Share of the target's variance that is explained."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds, percentiles, resampled_means
from yisheng.metrics._errors import errors


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    varies = _varies(y)
    if not varies.any():
        return float("nan"), float("nan")
    y, prediction = y[:, varies], prediction[:, varies]
    centred = (y - y.mean(axis=0, dtype=np.float64)) / y.std(axis=0, dtype=np.float64)
    error = errors(y, prediction) / y.std(axis=0, dtype=np.float64)
    means = resampled_means(np.concatenate([error**2, centred, centred**2], axis=1))
    squared, first, second = np.split(means, 3, axis=1)
    return percentiles((1 - squared / (second - first**2)).mean(axis=1), len(y))


def _varies(y: np.ndarray) -> np.ndarray:
    """Targets ``(T,)`` of more than one value."""
    return (y != y[:1]).any(axis=0)


@register(
    fits=lambda spec: spec.task == "regression",
    wants="a number as its target",
    reported=lambda spec: spec.task == "regression",
    interval=_interval,
)
def r2(y: np.ndarray, prediction: np.ndarray) -> float:
    """Coefficient of determination: 1 - sum of (y' - y)² / sum of (y - mean y)², a mean over the targets.

    0 is what predicting the mean gives; it is negative for what is worse. Constant targets are left out; where
    all are constant it is NaN.

    Source: Wright, "Correlation and causation", Journal of Agricultural Research 20, 1921.

    >>> round(r2(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]])), 3)
    0.5
    """
    varies = _varies(y)
    if not varies.any():
        return float("nan")
    spread = ((y - y.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=0)
    return float((1 - (errors(y, prediction) ** 2).sum(axis=0)[varies] / spread[varies]).mean())
