"""Share of rows whose labels are all right."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds
from yisheng.metrics._wilson import wilson


def _all_right(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return ((y > 0.5) == (prediction >= 0.5)).all(axis=1)


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return wilson(_all_right(y, prediction))


@register(
    fits=lambda spec: spec.task == "multilabel",
    wants="labels",
    reported=lambda spec: spec.task == "multilabel",
    interval=_interval,
)
def subset_accuracy(y: np.ndarray, prediction: np.ndarray) -> float:
    """Share of rows on which every label is right: mean of [(p >= 0.5) = y for all labels].

    The strictest score of a set of labels; the interval is Wilson's.

    >>> subset_accuracy(np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.2], [0.9, 0.2]]))
    0.5
    """
    return float(_all_right(y, prediction).mean()) if len(y) else float("nan")
