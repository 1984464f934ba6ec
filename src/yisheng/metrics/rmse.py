"""Root mean squared error."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._regression_errors import compute_errors, compute_rms, compute_rms_interval
from yisheng.metrics.bootstrap import Bounds
from yisheng.metrics.row_statistic import RowStatistic


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return compute_rms_interval(compute_errors(y, prediction))


STATISTIC = RowStatistic(compute_errors, compute_rms)


@register(
    fits=lambda spec: spec.task == "regression",
    requires="a number as its target",
    higher=False,
    default_for=lambda spec: spec.task == "regression" and spec.outputs == 1,
    reported=lambda spec: spec.task == "regression" and spec.outputs == 1,
    interval=_interval,
    rows=STATISTIC,
)
def rmse(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the root mean squared error, in the target's unit: sqrt(mean of (y' - y)²), a mean over the targets.

    The mean over several targets has a meaning only if they have the same unit, so it is not reported for them unless
    ``score=rmse`` asks for it; the error of each target is.

    >>> round(rmse(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])), 3)
    1.414
    """
    return STATISTIC.compute(y, prediction)
