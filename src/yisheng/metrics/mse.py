"""Mean squared error."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds, mean_interval
from yisheng.metrics._errors import errors


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return mean_interval((errors(y, prediction) ** 2).mean(axis=1))


@register(fits=lambda spec: spec.task == "regression", wants="a number as its target", higher=False, interval=_interval)
def mse(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean squared error over rows and targets, in squared units: mean of (y' - y)².

    >>> mse(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
    2.0
    """
    return float((errors(y, prediction) ** 2).mean()) if len(y) else float("nan")
