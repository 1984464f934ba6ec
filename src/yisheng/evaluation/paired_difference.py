"""The difference of two models' scores on the same rows, with its interval."""

from __future__ import annotations

import math

import numpy as np

from yisheng.core.entry import Entry
from yisheng.core.score import Score
from yisheng.evaluation.intervals import bootstrap_interval


def paired_difference(metric: Entry, y: np.ndarray, first: np.ndarray, second: np.ndarray) -> Score:
    """Return second minus first, with its 95% interval: expanded percentiles of the paired bootstrap over rows.

    Both models are scored on the same resamples. Rows that are hard for one model are mostly hard for the other, so
    the difference is known far better than either score. The interval does not cover the randomness of training again
    with another seed.

    Args:
        metric: a registered metric.
        y: targets ``(N, ...)``.
        first: predictions of the first model ``(N, ...)``.
        second: predictions of the second model, for the same rows.

    Returns:
        The difference; without an interval for fewer than 2 rows, or if the resamples do not define the metric.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, section 8.3 (paired data).

    >>> from yisheng.core import registry
    >>> y, sure = np.array([0, 1] * 50), np.eye(2)
    >>> score = paired_difference(registry.find("metrics", "accuracy"), y, sure[np.zeros(100, int)], sure[y])
    >>> score.value, round(score.low, 1), round(score.high, 1)
    (0.5, 0.4, 0.6)
    """

    def resampled_difference(rows: np.ndarray) -> float:
        return metric.build(y[rows], second[rows]) - metric.build(y[rows], first[rows])

    value = float(metric.build(y, second)) - float(metric.build(y, first))
    low, high = bootstrap_interval(resampled_difference, len(y), 2 * first.size)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Score(value)
    return Score(value, min(low, value), max(high, value))
