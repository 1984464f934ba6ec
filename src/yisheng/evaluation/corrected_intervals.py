"""Confidence intervals of means over folds or seeds, corrected for overlapping training parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from yisheng.core.score import Score

LEVEL = 0.95
"""Confidence level of the intervals."""


def corrected_interval(values: Sequence[float], ratio: float, *, level: float = LEVEL) -> Score:
    """Return the mean over J resamplings with the interval of the corrected resampled t-test.

    mean ± t(J - 1) · s · sqrt(1/J + n₂/n₁), with s the standard deviation of the values (divided by J - 1). The plain
    t-interval (``ratio=0``) assumes independent values. Folds share most of their training rows, so it is far too
    narrow for them. With few folds the interval is wide, and may extend beyond the range of the score.

    Args:
        values: scores, or differences of two models' scores, one for each fold ``(J,)``.
        ratio: n₂/n₁, number of scored rows divided by number of training rows; 1/(k - 1) for k folds.
        level: confidence level: the fraction of such intervals that contain the true mean.

    Returns:
        The mean with its interval; without one for a single value.

    Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003, section 3, for
    random splits; Bouckaert and Frank, "Evaluating the replicability of significance tests", 2004, for (repeated)
    k folds.

    >>> score = corrected_interval([0.90, 0.94, 0.92, 0.91, 0.93], ratio=0.25)
    >>> round(score.value, 3), round(score.low, 4), round(score.high, 4)
    (0.92, 0.8906, 0.9494)
    """
    mean, std, n = _moments(values)
    if n < 2:
        return Score(mean)
    half_width = _t_quantile(level, n - 1) * std * math.sqrt(1 / n + ratio)
    return Score(mean, mean - half_width, mean + half_width)


def welch_interval(
    first: Sequence[float], second: Sequence[float], ratio: float = 0.0, *, level: float = LEVEL
) -> Score:
    """Return the difference of two means, first minus second, of unpaired values, with its interval.

    Welch's interval, which allows for different variances, with the same correction as `corrected_interval`: s²/J
    becomes s² (1/J + n₂/n₁).

    Args:
        first: scores ``(J,)``, two or more.
        second: scores of the other, two or more.
        ratio: as in `corrected_interval`; 0 if all were scored on the same rows.
        level: confidence level: the fraction of such intervals that contain the true difference.

    Source: Welch, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34, 1947.

    >>> score = welch_interval([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    >>> score.value, round(score.low, 3), round(score.high, 3)
    (2.0, -0.267, 4.267)
    """
    (mean_a, std_a, n_a), (mean_b, std_b, n_b) = _moments(first), _moments(second)
    if min(n_a, n_b) < 2:
        return Score(mean_a - mean_b)
    variance_a, variance_b = std_a**2 * (1 / n_a + ratio), std_b**2 * (1 / n_b + ratio)  # of the means
    variance = variance_a + variance_b
    freedom = variance**2 / (variance_a**2 / (n_a - 1) + variance_b**2 / (n_b - 1)) if variance else n_a + n_b - 2
    half_width = _t_quantile(level, freedom) * math.sqrt(variance)
    difference = mean_a - mean_b
    return Score(difference, difference - half_width, difference + half_width)


def _moments(values: Sequence[float]) -> tuple[float, float, int]:
    """Return the mean, the sample standard deviation, and the number of values."""
    array = np.asarray(values, np.float64)
    if len(array) < 2 or bool((array == array[0]).all()):  # rounding of the mean must not look like a deviation
        return float(array[0]), 0.0, len(array)
    return float(array.mean()), float(array.std(ddof=1)), len(array)


def _t_quantile(level: float, freedom: float) -> float:
    """Return the number of standard errors from the mean to either end of the interval."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))
