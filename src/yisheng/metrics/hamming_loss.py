"""Hamming loss of a multilabel classification."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics.bootstrap import Bounds, compute_percentile_interval
from yisheng.metrics.class_counts import resample_counts
from yisheng.metrics.row_statistic import RowStatistic


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    counts = resample_counts(y, prediction)
    losses = (counts.predicted + counts.true - 2 * counts.correct).mean(axis=1) / len(y)
    return compute_percentile_interval(losses, len(y))


def _is_wrong(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return (y > 0.5) != (prediction >= 0.5)


STATISTIC = RowStatistic(_is_wrong)


@register(
    fits=lambda spec: spec.task == "multilabel",
    requires="labels",
    higher=False,
    reported=lambda spec: spec.task == "multilabel",
    interval=_interval,
    rows=STATISTIC,
)
def hamming_loss(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the fraction of all labels of all rows that are wrong: mean of [(p >= 0.5) != y].

    If labels are rare, predicting none at all has a small loss: compare it with the baseline's.

    Source: Schapire and Singer, "BoosTexter: a boosting-based system for text categorization", 2000.

    >>> hamming_loss(np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.2], [0.9, 0.2]]))
    0.25
    """
    return STATISTIC.compute(y, prediction)
