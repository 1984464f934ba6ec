"""Wilson's interval of a proportion."""

from __future__ import annotations

import math

import numpy as np

from yisheng.metrics.bootstrap import Bounds, Z


def compute_wilson_interval(successes: np.ndarray) -> Bounds:
    """Return Wilson's 95% interval of the fraction of true values ``(N,)``.

    (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n), z = 1.96. It is never outside 0 and 1, and not empty if
    all values are true: 30 of 30 give 0.886 to 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22, 1927.

    >>> low, high = compute_wilson_interval(np.ones(30, bool))
    >>> round(low, 3), high
    (0.886, 1.0)
    """
    return compute_wilson_bounds(int(np.count_nonzero(successes)), len(successes))


def compute_wilson_bounds(successes: int, n: int) -> Bounds:
    """Return Wilson's 95% interval of ``successes`` of ``n``; see `compute_wilson_interval`.

    >>> [round(bound, 3) for bound in compute_wilson_bounds(0, 8)]
    [0.0, 0.324]
    """
    if n == 0:
        return math.nan, math.nan
    p = successes / n
    center = p + Z * Z / (2 * n)
    half_width = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return (center - half_width) / scale if p > 0 else 0.0, (center + half_width) / scale if p < 1 else 1.0
