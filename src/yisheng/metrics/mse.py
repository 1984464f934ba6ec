"""Mean squared error."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._regression_errors import compute_errors
from yisheng.metrics.bootstrap import Bounds, compute_mean_interval
from yisheng.metrics.row_statistic import RowStatistic


def _square_errors(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return compute_errors(y, prediction) ** 2


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return compute_mean_interval(_square_errors(y, prediction).mean(axis=1))


STATISTIC = RowStatistic(_square_errors)


@register(
    fits=lambda spec: spec.task == "regression",
    requires="a number as its target",
    higher=False,
    interval=_interval,
    rows=STATISTIC,
)
def mse(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the mean squared error over rows and targets, in squared units: mean of (y' - y)².

    >>> mse(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
    2.0
    """
    return STATISTIC.compute(y, prediction)
