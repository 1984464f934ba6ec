"""Interval of a proportion."""

from __future__ import annotations

import math

import numpy as np

from yisheng.metrics._bootstrap import Bounds, Z


def wilson(right: np.ndarray) -> Bounds:
    """Wilson's 95% interval of the share of true values ``(N,)``.

    (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n), z = 1.96. Never outside 0 and 1, and not empty when
    every row is right: 30 of 30 give 0.886 to 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22, 1927.

    >>> low, high = wilson(np.ones(30, bool))
    >>> round(low, 3), high
    (0.886, 1.0)
    """
    n = len(right)
    if n == 0:
        return math.nan, math.nan
    p = float(right.mean())
    centre = p + Z * Z / (2 * n)
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return (centre - half) / scale if p > 0 else 0.0, (centre + half) / scale if p < 1 else 1.0
