"""The 95% interval of a metric."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from yisheng.core.registry import Entry
from yisheng.metrics._bootstrap import RESAMPLES, SEED, Bounds, percentiles

LEAST_RESAMPLES = 100
NUMBERS = 20_000_000
"""Numbers that all resamples together may hold: 200 resamples of 10,000 rows x 10 classes."""


def interval(metric: Entry, y: np.ndarray, prediction: np.ndarray, value: float) -> tuple[float | None, float | None]:
    """The metric's own interval, else that of the bootstrap; it always holds the value.

    Returns:
        ``(low, high)``, or Nones where the rows do not give one.
    """
    if len(y) < 2:
        return None, None
    own = metric.meta.get("interval")
    low, high = own(y, prediction) if own else bootstrap(metric, y, prediction)
    if not (math.isfinite(low) and math.isfinite(high)):
        return None, None
    return float(min(low, value)), float(max(high, value))


def bootstrap(metric: Entry, y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """Expanded percentiles of the metric over rows drawn with replacement, with a fixed seed.

    100 to 1,000 resamples, fewer for more numbers. Resamples in which the metric is undefined do not count.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979.
    """
    return resampled(lambda rows: metric.build(y[rows], prediction[rows]), len(y), prediction.size)


def resampled(value: Callable[[np.ndarray], float], n: int, numbers: int) -> Bounds:
    """Expanded percentiles of a value over rows drawn with replacement, with a fixed seed.

    Args:
        value: of the rows of a resample ``(n,)``; NaN where it is undefined there.
        n: rows.
        numbers: that the value is taken from; the more, the fewer resamples.
    """
    generator = np.random.default_rng(SEED)
    resamples = int(np.clip(NUMBERS // max(numbers, 1), LEAST_RESAMPLES, RESAMPLES))
    values = np.empty(resamples)
    for number in range(resamples):
        values[number] = value(generator.integers(n, size=n))
    return percentiles(values, n)
