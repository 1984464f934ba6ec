"""Mean absolute error."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds, mean_interval
from yisheng.metrics._errors import errors


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return mean_interval(np.abs(errors(y, prediction)).mean(axis=1))


@register(
    fits=lambda spec: spec.task == "regression",
    wants="a number as its target",
    higher=False,
    reported=lambda spec: spec.task == "regression",
    interval=_interval,
)
def mae(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean absolute error over rows and targets, in the target's unit: mean of abs(y' - y).

    >>> mae(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
    1.0
    """
    return float(np.abs(errors(y, prediction)).mean()) if len(y) else float("nan")
