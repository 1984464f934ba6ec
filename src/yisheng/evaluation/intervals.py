"""The 95% confidence interval of a metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError
from yisheng.metrics.bootstrap import RESAMPLES, SEED, Bounds, compute_percentile_interval

MIN_RESAMPLES = 100
CUSTOM_RESAMPLES = 300
"""Resamples at most for a metric of the user's: a function of scikit-learn takes milliseconds for each."""
MAX_RESAMPLED_VALUES = 20_000_000
"""Values that all resamples together may hold: 200 resamples of 10,000 rows x 10 classes."""


def compute_interval(
    metric: Entry, y: np.ndarray, prediction: np.ndarray, value: float
) -> tuple[float | None, float | None]:
    """Compute the metric's registered interval, or else the bootstrap's; it always contains the value.

    Args:
        metric: a registered metric.
        y: targets ``(N, ...)``.
        prediction: predictions ``(N, ...)``.
        value: the metric of these predictions.

    Returns:
        ``(low, high)``, or ``(None, None)`` for fewer than 2 rows or an undefined interval.
    """
    if len(y) < 2:
        return None, None
    registered = metric.meta.get("interval")
    try:
        low, high = registered(y, prediction) if registered else bootstrap_metric(metric, y, prediction)
    except UsageError:
        if not metric.meta.get("custom"):
            raise
        return None, None  # a user's own metric need not be defined for every resample
    if not (math.isfinite(low) and math.isfinite(high)):
        return None, None
    return float(min(low, value)), float(max(high, value))


def bootstrap_metric(metric: Entry, y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """Compute expanded percentiles of the metric over rows drawn with replacement, with a fixed seed.

    100 to 1,000 resamples, fewer for larger predictions, 300 at most for a metric of the user's. Resamples in which the
    metric is undefined do not count.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979.
    """
    size = max(prediction.size, MAX_RESAMPLED_VALUES // CUSTOM_RESAMPLES if metric.meta.get("custom") else 0)
    return bootstrap_interval(lambda rows: metric.build(y[rows], prediction[rows]), len(y), size)


def bootstrap_interval(statistic: Callable[[np.ndarray], float], n: int, size: int) -> Bounds:
    """Compute expanded percentiles of a statistic over rows drawn with replacement, with a fixed seed.

    Args:
        statistic: of the row numbers of a resample ``(n,)``; NaN if it is undefined for them.
        n: number of rows.
        size: number of values that the statistic reads; the more, the fewer resamples.
    """
    return bootstrap_intervals(lambda rows: [statistic(rows)], 1, n, size)[0]


def bootstrap_intervals(
    statistics: Callable[[np.ndarray], Sequence[float]], count: int, n: int, size: int
) -> list[Bounds]:
    """Compute the interval of `bootstrap_interval` for several statistics of the same resamples.

    Args:
        statistics: of the row numbers of a resample ``(n,)``, ``count`` of them.
        count: number of statistics.
        n: number of rows.
        size: number of values that each statistic reads.
    """
    generator = np.random.default_rng(SEED)
    resamples = int(np.clip(MAX_RESAMPLED_VALUES // max(size, 1), MIN_RESAMPLES, RESAMPLES))
    values = np.empty((resamples, count))
    for number in range(resamples):
        values[number] = statistics(generator.integers(n, size=n))
    return [compute_percentile_interval(column, n) for column in values.T]
