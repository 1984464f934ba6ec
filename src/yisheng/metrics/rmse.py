"""Root of the mean squared error."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds
from yisheng.metrics._errors import errors, root_mean_square, root_mean_square_interval


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return root_mean_square_interval(errors(y, prediction))


@register(
    fits=lambda spec: spec.task == "regression",
    wants="a number as its target",
    higher=False,
    default_for=lambda spec: spec.task == "regression",
    reported=lambda spec: spec.task == "regression",
    interval=_interval,
)
def rmse(y: np.ndarray, prediction: np.ndarray) -> float:
    """Root of the mean squared error, in the target's unit: sqrt(mean of (y' - y)²), a mean over the targets.

    >>> round(rmse(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])), 3)
    1.414
    """
    return root_mean_square(errors(y, prediction))
