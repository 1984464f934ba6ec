"""95% confidence intervals of statistics that are computed from means over the rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

RESAMPLES = 1000
SEED = 0
MAX_WEIGHTED_ROWS = 2000
Z = NormalDist().inv_cdf(0.975)
"""97.5% quantile of the standard normal distribution."""
Bounds = tuple[float, float]
"""Lower and upper bound of an interval."""


def resample_means(rows: np.ndarray) -> np.ndarray:
    """Return means of the columns under the Bayesian bootstrap: each row's weight is drawn from Exp(1).

    The means vary as if rows were drawn with replacement, but no row ever vanishes, and all resamples are one
    matrix product. Of more than 2,000 rows, random groups of equal size are weighted instead of rows, which
    keeps the mean and the variance and bounds the cost.

    Args:
        rows: one line of numbers per row ``(N, k)``, in any unit near 1.

    Returns:
        ``(1000, k)``.

    Source: Rubin, "The Bayesian bootstrap", Annals of Statistics 9, 1981.
    """
    generator = np.random.default_rng(SEED)
    rows = np.column_stack([rows.astype(np.float32), np.ones(len(rows), np.float32)])
    if len(rows) > MAX_WEIGHTED_ROWS:
        starts = np.linspace(0, len(rows), MAX_WEIGHTED_ROWS, endpoint=False).astype(np.int64)
        rows = np.add.reduceat(rows[generator.permutation(len(rows))], starts, axis=0)
    sums = generator.standard_exponential((RESAMPLES, len(rows)), dtype=np.float32) @ rows
    return (sums[:, :-1] / sums[:, -1:]).astype(np.float64)


def compute_percentile_interval(values: np.ndarray, n: int) -> Bounds:
    """Return the expanded percentile interval of resampled values, whose tails allow for few rows.

    Plain percentiles of a bootstrap are too narrow by the factor that separates z sqrt((n - 1) / (n + 1))
    from Student's t; the tails' probability is chosen so that a mean gets the t interval.

    Args:
        values: the metric of each resample; NaN if it is undefined there.
        n: number of rows.

    Source: Hesterberg, "What teachers should know about the bootstrap", American Statistician 69, 2015.
    """
    if n < 2 or np.isnan(values).mean() > 0.5:
        return math.nan, math.nan
    tail = NormalDist().cdf(-math.sqrt((n + 1) / (n - 1)) * _student_quantile(n - 1))
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


def compute_mean_interval(
    values: np.ndarray, transform: Callable[[np.ndarray], np.ndarray] = lambda means: means
) -> Bounds:
    """Return the interval of the mean of one value per row ``(N,)``, or of a function of that mean."""
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    means = resample_means((values / scale)[:, None])[:, 0]
    return compute_percentile_interval(transform(means * scale), len(values))


def _student_quantile(degrees: int) -> float:
    """Return the 97.5% quantile of Student's t, as its series in 1/degrees (Abramowitz and Stegun, 26.7.5).

    >>> round(_student_quantile(10), 3)
    2.228
    """
    return (
        Z
        + (Z**3 + Z) / (4 * degrees)
        + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * degrees**2)
        + (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * degrees**3)
    )
