"""Conformal prediction intervals of numbers, from the errors on rows that were held out in training."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.metrics.wilson import compute_wilson_interval

EXAMPLE_LEVEL = 0.9
BISECTIONS = 64
"""Halvings of a bracket: afterwards it is narrower than float64 can tell."""
RANK_ERROR = 1e-9
"""Rounding error of level * (n + 1): 0.9 * 110 is 99.00000000000001."""


@dataclass(frozen=True)
class HeldOutErrors:
    """Errors of one model on rows that it was not fitted to.

    Args:
        errors: absolute errors in the scale of ``transform``, ascending for each target, float64 ``(n, T)``.
        transform: the fitted target transform, increasing for each target; None if targets are not transformed.
    """

    errors: np.ndarray
    transform: Any = None

    def __len__(self) -> int:
        return len(self.errors)

    def scale(self, values: np.ndarray) -> np.ndarray:
        """Return values ``(N, T)`` in the scale of the errors, float64."""
        return scale_targets(values, self.transform)

    def unscale(self, values: np.ndarray) -> np.ndarray:
        """Return scaled values ``(N, T)`` in the original units, float64."""
        tensor = torch.from_numpy(np.ascontiguousarray(values, np.float64))
        return (tensor if self.transform is None else self.transform.invert(tensor)).double().numpy()


@dataclass(frozen=True)
class IntervalBounds:
    """Prediction intervals of some inputs.

    Args:
        level: the fraction of inputs whose true value is in its interval.
        low: lower bounds ``(N, T)``, float64.
        high: upper bounds ``(N, T)``, float64.

    >>> IntervalBounds(0.9, np.zeros((2, 1)), np.ones((2, 1))).covers(np.array([[0.5], [2.0]])).tolist()
    [[True], [False]]
    """

    level: float
    low: np.ndarray
    high: np.ndarray

    def covers(self, y: np.ndarray) -> np.ndarray:
        """Return which of the true values ``(N, T)`` are in their intervals, bool ``(N, T)``."""
        return (self.low <= y) & (y <= self.high)


@dataclass(frozen=True)
class Coverage:
    """How often the true value of one target is in its interval.

    Args:
        value: fraction of the rows.
        low: lower end of Wilson's 95% interval of the fraction.
        high: its upper end.
        median_width: of the prediction intervals, in the unit of the target.
    """

    value: float
    low: float
    high: float
    median_width: float


def compute_errors(y: np.ndarray, prediction: np.ndarray, transform: Any = None) -> np.ndarray:
    """Compute the errors that a model's intervals are made of: abs(s(y) - s(y')), ascending, float64 ``(n, T)``.

    Args:
        y: true values ``(n, T)`` of rows that the model was not fitted to.
        prediction: predicted values ``(n, T)``.
        transform: the fitted target transform s, increasing: of a target that is learned as its logarithm, the errors
            are relative, and so are the widths of the intervals. None for the values themselves.

    >>> compute_errors(np.array([[1.0], [2.0]]), np.array([[4.0], [2.5]])).tolist()
    [[0.5], [3.0]]
    """
    return np.sort(np.abs(scale_targets(y, transform) - scale_targets(prediction, transform)), axis=0)


def scale_targets(values: np.ndarray, transform: Any) -> np.ndarray:
    """Return targets ``(N, T)`` in the scale of a target transform, float64; unchanged without one."""
    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float64))
    return (tensor if transform is None else transform.apply(tensor)).double().numpy()


def parse_level(value: Any) -> float:
    """Return the level of an interval: a fraction, as a number or as text.

    Raises:
        UsageError: it is not a number between 0 and 1.

    >>> parse_level("0.9"), parse_level(0.5)
    (0.9, 0.5)
    """
    is_text = isinstance(value, str) and re.fullmatch(r"\s*[0-9]*\.?[0-9]+(e-?[0-9]+)?\s*", value, re.IGNORECASE)
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    level = float(value) if is_text or is_number else math.nan
    if not 0 < level < 1:
        raise UsageError(
            Message("interval must be a fraction between 0 and 1, got {value}", value=f"{value!r}"),
            Message(
                "use interval={EXAMPLE_LEVEL} for intervals that contain the true value in 9 of 10 rows",
                EXAMPLE_LEVEL=EXAMPLE_LEVEL,
            ),
        )
    return level


def find_rank(level: float, n: int) -> int:
    """Return which of n ascending errors bounds the error of a new row at this level: ceil(level (n + 1)).

    It is above n if there are too few errors, fewer than level / (1 - level).

    >>> find_rank(0.9, 9), find_rank(0.9, 8), find_rank(0.5, 3)
    (9, 9, 2)
    """
    return max(1, math.ceil(level * (n + 1) - RANK_ERROR))


def find_largest_level(n: int) -> float:
    """Return the largest level that n errors allow: n / (n + 1).

    >>> find_largest_level(9)
    0.9
    """
    return n / (n + 1)


def require_rows(level: float, n: int) -> int:
    """Return the rank of the error that bounds the others at this level; see `find_rank`.

    Raises:
        UsageError: there are too few errors.
    """
    rank = find_rank(level, n)
    if rank > n:
        smallest = math.ceil(level / (1 - level) - RANK_ERROR)
        remedy = Message("train with a larger validation part, or with folds=5")
        if n > 1:
            largest = f"{math.floor(1000 * find_largest_level(n)) / 1000:g}"
            remedy = Message("use interval={largest} or less, or {alternative}", largest=largest, alternative=remedy)
        raise UsageError(
            Message(
                "interval={level} requires {smallest} held-out rows or more, the run has {rows}",
                level=f"{level:g}",
                smallest=f"{smallest:,}",
                rows=f"{n:,}",
            ),
            remedy,
        )
    return rank


def compute_bounds(
    outputs: Sequence[np.ndarray], held_out: Sequence[HeldOutErrors], level: float, *, repeats: int = 1
) -> IntervalBounds:
    """Compute the interval of each row and target.

    One model (split conformal): [s⁻¹(s(y') - q), s⁻¹(s(y') + q)], where q is the ceil(level (n + 1))-th smallest of n
    held-out errors. If the new row is exchangeable with the held-out rows, its interval contains the true value with a
    probability of at least ``level``, whatever the model and the distribution.

    K fold models (CV+): from each held-out row i, left out by fold model k, comes an interval around the prediction of
    model k with the error of row i. The bounds are the ceil(level (n + 1))-th smallest of the upper ends, and
    likewise of the lower ends. The guarantee is 1 - 2 (1 - level) minus at most sqrt(2 / n), but the coverage is
    typically ``level``. As many folds as rows make it the jackknife+.

    Targets have separate intervals: all of several targets are in theirs less often than each of them.

    Args:
        outputs: predictions of each model ``(N, T)``, in the original units.
        held_out: the errors of each model.
        level: the fraction of rows whose true value should be in its interval.
        repeats: how often each row was held out by another model, for repeated cross-validation.

    Raises:
        UsageError: there are too few errors for this level.

    Source: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005; Barber, Candès, Ramdas and
    Tibshirani, "Predictive inference with the jackknife+", Annals of Statistics 49, 2021; for scaled errors Gupta,
    Kuchibhotla and Ramdas, "Nested conformal prediction and quantile out-of-bag ensemble methods", 2022.

    >>> errors = HeldOutErrors(np.arange(1.0, 20.0)[:, None])
    >>> bounds = compute_bounds([np.array([[100.0]])], [errors], 0.9)
    >>> bounds.low.tolist(), bounds.high.tolist()
    ([[82.0]], [[118.0]])
    """
    n = sum(map(len, held_out)) // repeats
    rank = require_rows(level, n)
    centers = [errors.scale(output) for output, errors in zip(outputs, held_out, strict=True)]
    if len(held_out) == 1 and repeats == 1:
        errors, center = held_out[0], centers[0]
        width = errors.errors[rank - 1]
        low, high = errors.unscale(center - width), errors.unscale(center + width)
    else:
        low, high = _combine_folds(centers, held_out, rank * repeats)
    prediction = np.mean([np.asarray(output, np.float64) for output in outputs], axis=0)
    # The mean of fold models that disagree by more than their errors may be outside.
    return IntervalBounds(level, np.minimum(low, prediction), np.maximum(high, prediction))


def _combine_folds(
    centers: Sequence[np.ndarray], held_out: Sequence[HeldOutErrors], rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper bounds of CV+, found by bisection: there are N times n ends of intervals.

    Args:
        centers: scaled predictions of each model ``(N, T)``.
        held_out: the errors of each model.
        rank: of the bound among the ends of all errors.
    """

    def count_ends(bound: np.ndarray, sign: int) -> np.ndarray:
        """Return how many ends are inside of a bound: upper ends below it (sign 1), or lower ends above it."""
        count = np.zeros(bound.shape, np.int64)
        for center, errors in zip(centers, held_out, strict=True):
            distance = sign * (errors.scale(bound) - center)
            for target in range(bound.shape[1]):
                count[:, target] += np.searchsorted(errors.errors[:, target], distance[:, target], side="right")
        return count

    bounds = []
    for sign, find_inner, find_outer in ((-1, np.max, np.min), (1, np.min, np.max)):
        inner, outer = (
            find([e.unscale(c + sign * e.errors[row]) for c, e in zip(centers, held_out, strict=True)], axis=0)
            for find, row in ((find_inner, 0), (find_outer, -1))
        )
        bounds.append(_bisect(lambda bound, sign=sign: count_ends(bound, sign) >= rank, inner, outer))  # type: ignore[misc]
    return bounds[0], bounds[1]


def _bisect(is_enough: Callable[[np.ndarray], np.ndarray], inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Return the values nearest to ``inner`` that are enough; ``outer`` always is."""
    for _ in range(BISECTIONS):
        middle = inner + (outer - inner) / 2
        enough = is_enough(middle)
        inner, outer = np.where(enough, inner, middle), np.where(enough, middle, outer)
    return outer


def measure_coverage(bounds: IntervalBounds, y: np.ndarray) -> list[Coverage]:
    """Measure for each target how often the true value is in its interval.

    Args:
        bounds: the intervals.
        y: true values ``(N, T)``, of rows that played no part in training and in the intervals.

    >>> bounds = IntervalBounds(0.9, np.zeros((4, 1)), np.ones((4, 1)))
    >>> measure_coverage(bounds, np.array([[0.5], [0.1], [1.0], [7.0]]))[0].value
    0.75
    """
    covered, widths = bounds.covers(y), bounds.high - bounds.low
    return [
        Coverage(
            float(covered[:, target].mean()),
            *compute_wilson_interval(covered[:, target]),
            float(np.median(widths[:, target])),
        )
        for target in range(y.shape[1])
    ]
