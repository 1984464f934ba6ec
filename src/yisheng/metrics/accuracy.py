"""Accuracy of a classification."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics.bootstrap import Bounds
from yisheng.metrics.class_counts import predict_class
from yisheng.metrics.row_statistic import RowStatistic
from yisheng.metrics.wilson import compute_wilson_interval


def _is_correct(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return predict_class(prediction) == y


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return compute_wilson_interval(_is_correct(y, prediction))


STATISTIC = RowStatistic(_is_correct)


@register(
    fits=lambda spec: spec.task == "classification",
    requires="classes",
    default_for=lambda spec: spec.task == "classification",
    reported=lambda spec: spec.task == "classification",
    interval=_interval,
    rows=STATISTIC,
)
def accuracy(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the fraction of rows whose most probable class is the true one: mean of [argmax p = y].

    In a tie the first class is the predicted one. The interval is Wilson's.

    >>> accuracy(np.array([0, 1, 1, 1]), np.eye(2)[[0, 0, 1, 1]])
    0.75
    """
    return STATISTIC.compute(y, prediction)
