"""Mean absolute error."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._regression_errors import compute_errors
from yisheng.metrics.bootstrap import Bounds, compute_mean_interval
from yisheng.metrics.row_statistic import RowStatistic


def _absolute_errors(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return np.abs(compute_errors(y, prediction))


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return compute_mean_interval(_absolute_errors(y, prediction).mean(axis=1))


STATISTIC = RowStatistic(_absolute_errors)


@register(
    fits=lambda spec: spec.task == "regression",
    requires="a number as its target",
    higher=False,
    reported=lambda spec: spec.task == "regression" and spec.outputs == 1,
    interval=_interval,
    rows=STATISTIC,
)
def mae(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the mean absolute error over rows and targets, in the target's unit: mean of abs(y' - y).

    >>> mae(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
    1.0
    """
    return STATISTIC.compute(y, prediction)
