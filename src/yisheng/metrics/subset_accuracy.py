"""Subset accuracy of a multilabel classification."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics.bootstrap import Bounds
from yisheng.metrics.row_statistic import RowStatistic
from yisheng.metrics.wilson import compute_wilson_interval


def _all_labels_correct(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return ((y > 0.5) == (prediction >= 0.5)).all(axis=1)


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return compute_wilson_interval(_all_labels_correct(y, prediction))


STATISTIC = RowStatistic(_all_labels_correct)


@register(
    fits=lambda spec: spec.task == "multilabel",
    requires="labels",
    reported=lambda spec: spec.task == "multilabel",
    interval=_interval,
    rows=STATISTIC,
)
def subset_accuracy(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the fraction of rows on which every label is correct: mean of [(p >= 0.5) = y for all labels].

    It is the strictest score of a set of labels. The interval is Wilson's.

    >>> subset_accuracy(np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.2], [0.9, 0.2]]))
    0.5
    """
    return STATISTIC.compute(y, prediction)
