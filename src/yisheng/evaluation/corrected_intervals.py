"""Intervals of means over folds or seeds, which are not independent: their training parts overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from yisheng.core.types import Score

LEVEL = 0.95


def corrected(values: Sequence[float], ratio: float, *, level: float = LEVEL) -> Score:
    """The mean over J resamplings with the interval of the corrected resampled t-test.

    mean ± t(J - 1) · s · sqrt(1/J + n₂/n₁), with s the standard deviation of the values (divided by J - 1). The plain
    t-interval (``ratio=0``) takes the values for independent; folds share most of their training rows, and it is far
    too narrow. It may reach beyond what a score can be: few folds tell little.

    Args:
        values: scores, or differences of two models' scores, one for each fold ``(J,)``.
        ratio: n₂/n₁, rows scored by rows trained on; 1/(k - 1) for k folds.
        level: share of such intervals that hold the true mean.

    Returns:
        The mean with its interval; without one for a single value.

    Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003, section 3, for
    random splits; Bouckaert and Frank, "Evaluating the replicability of significance tests", 2004, for (repeated)
    k folds.

    >>> score = corrected([0.90, 0.94, 0.92, 0.91, 0.93], ratio=0.25)
    >>> round(score.value, 3), round(score.low, 4), round(score.high, 4)
    (0.92, 0.8906, 0.9494)
    """
    mean, spread, n = _moments(values)
    if n < 2:
        return Score(mean)
    half = _t(level, n - 1) * spread * math.sqrt(1 / n + ratio)
    return Score(mean, mean - half, mean + half)


def welch(first: Sequence[float], second: Sequence[float], ratio: float = 0.0, *, level: float = LEVEL) -> Score:
    """The difference of two means, first minus second, of values that do not belong together in pairs.

    Welch's interval, which lets the two vary differently, with the same correction as `corrected`: s²/J becomes
    s² (1/J + n₂/n₁).

    Args:
        first: scores ``(J,)``, two or more.
        second: scores of the other, two or more.
        ratio: as in `corrected`; 0 where all were scored on the same rows.
        level: share of such intervals that hold the true difference.

    Source: Welch, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34, 1947.

    >>> score = welch([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    >>> score.value, round(score.low, 3), round(score.high, 3)
    (2.0, -0.267, 4.267)
    """
    (mean_a, spread_a, n_a), (mean_b, spread_b, n_b) = _moments(first), _moments(second)
    if min(n_a, n_b) < 2:
        return Score(mean_a - mean_b)
    part_a, part_b = spread_a**2 * (1 / n_a + ratio), spread_b**2 * (1 / n_b + ratio)
    both = part_a + part_b
    freedom = both**2 / (part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1)) if both else n_a + n_b - 2
    half = _t(level, freedom) * math.sqrt(both)
    difference = mean_a - mean_b
    return Score(difference, difference - half, difference + half)


def _moments(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean, standard deviation of the sample, and number."""
    found = np.asarray(values, np.float64)
    alike = len(found) < 2 or bool((found == found[0]).all())  # rounding of the mean must not look like spread
    return float(found[0] if alike else found.mean()), 0.0 if alike else float(found.std(ddof=1)), len(found)


def _t(level: float, freedom: float) -> float:
    """How many standard errors the interval reaches to both sides."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    return float(stdtrit(freedom, (1 + level) / 2))
