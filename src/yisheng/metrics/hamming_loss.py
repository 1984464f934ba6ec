"""Share of labels that are wrong."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds, percentiles
from yisheng.metrics._counts import resampled_counts


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    counts = resampled_counts(y, prediction)
    wrong = (counts.predicted + counts.true - 2 * counts.right).mean(axis=1) / len(y)
    return percentiles(wrong, len(y))


@register(
    fits=lambda spec: spec.task == "multilabel",
    wants="labels",
    higher=False,
    reported=lambda spec: spec.task == "multilabel",
    interval=_interval,
)
def hamming_loss(y: np.ndarray, prediction: np.ndarray) -> float:
    """Share of all labels of all rows that are wrong: mean of [(p >= 0.5) != y].

    Where labels are rare, saying none at all has a small loss: look at the baseline beside it.

    Source: Schapire and Singer, "BoosTexter: a boosting-based system for text categorization", 2000.

    >>> hamming_loss(np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.2], [0.9, 0.2]]))
    0.25
    """
    return float(((y > 0.5) != (prediction >= 0.5)).mean()) if len(y) else float("nan")
