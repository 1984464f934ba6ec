"""Share of rows whose class is predicted."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds
from yisheng.metrics._counts import predicted_class
from yisheng.metrics._wilson import wilson


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return wilson(predicted_class(prediction) == y)


@register(
    fits=lambda spec: spec.task == "classification",
    wants="classes",
    default_for=lambda spec: spec.task == "classification",
    reported=lambda spec: spec.task == "classification",
    interval=_interval,
)
def accuracy(y: np.ndarray, prediction: np.ndarray) -> float:
    """Share of rows whose most probable class is the true one: mean of [argmax p = y].

    In a tie the first class is the predicted one. The interval is Wilson's.

    >>> accuracy(np.array([0, 1, 1, 1]), np.eye(2)[[0, 0, 1, 1]])
    0.75
    """
    return float((predicted_class(prediction) == y).mean()) if len(y) else float("nan")
