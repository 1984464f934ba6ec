"""The difference of two models' scores on the same rows."""

from __future__ import annotations

import math

import numpy as np

from yisheng.core.registry import Entry
from yisheng.core.types import Score
from yisheng.evaluation.intervals import resampled


def difference(metric: Entry, y: np.ndarray, first: np.ndarray, second: np.ndarray) -> Score:
    """Second minus first, with its 95% interval: expanded percentiles of the bootstrap over rows, drawn for both alike.

    What is hard for one model is mostly hard for the other, so the difference is known far better than either score. It
    says nothing of training once more with another seed.

    Args:
        metric: of the kind ``metrics``.
        y: what is true ``(N, ...)``.
        first: predictions of the one ``(N, ...)``.
        second: predictions of the other, of the same rows.

    Returns:
        The difference; without an interval for less than 2 rows, or where resamples do not define the metric.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, section 8.3 (paired data).

    >>> from yisheng.core import registry
    >>> y, sure = np.array([0, 1] * 50), np.eye(2)
    >>> found = difference(registry.find("metrics", "accuracy"), y, sure[np.zeros(100, int)], sure[y])
    >>> found.value, round(found.low, 1), round(found.high, 1)
    (0.5, 0.4, 0.6)
    """

    def apart(rows: np.ndarray) -> float:
        return metric.build(y[rows], second[rows]) - metric.build(y[rows], first[rows])

    value = float(metric.build(y, second)) - float(metric.build(y, first))
    low, high = resampled(apart, len(y), 2 * first.size)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Score(value)
    return Score(value, min(low, value), max(high, value))
