"""Columns that are at other places in the held-out rows than in the training rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks._two_parts import TwoParts, draw_two_parts, explain_skip
from yisheng.diagnosis.sample import Sample

MAX_COLUMNS = 64
"""Columns of a table: each is compared with each."""
CRITICAL_DISTANCE = 1.95
"""Kolmogorov-Smirnov statistic, in units of sqrt((n + m) / (n m)), that two samples of one distribution exceed once in
a thousand times."""
MIN_CORRELATION_Z, PREFERENCE = 5.0, 0.5
"""Difference of the correlations of a column with a target in standard errors (Fisher's transform), that counts as much
as the critical distance; and by how much the square of both must be smaller at another place than at the own one."""
MIN_MOVED = 2
"""Columns of another distribution that are at each other's places."""
MIN_SQUARED_Z, MAX_SQUARED_Z = 9.0, 4.0
"""Mean square of these differences over the moved columns, as they are and after they are put back; 1 at random.
Columns that only drift towards each other's distributions keep their own meaning."""
MAX_LEVELS = 12
"""Different values of columns that are categories or flags, whose frequencies may change places by coincidence."""


@dataclass(frozen=True)
class _Distances:
    distributions: (
        np.ndarray
    )  # (D, D) by column of the training rows and of the held-out rows, 1 at `CRITICAL_DISTANCE`
    correlations: np.ndarray  # (D, D) likewise, in standard errors


def _explain_skip(sample: Sample) -> str:
    if len(sample.spec.shape) != 1 or not MIN_MOVED <= sample.spec.shape[0] <= MAX_COLUMNS:
        return Message("the inputs are no columns")
    return explain_skip(sample)


@register(
    cost="cheap",
    needs=_explain_skip,
    raw=True,
    explains=("fading-columns", "shifted-rows", "recoded-values", "overfitting", "memorization", "underfitting"),
)
def permuted_columns(sample: Sample) -> Iterator[Finding]:
    """Find columns that are in another order in the held-out rows, such as that of their names.

    At least two columns of the held-out rows have another distribution than the training column at their place, and the
    distribution of the training column at another one's. Their correlations with the targets must agree: they differ at
    the own places, and are the same after the columns are put back. All other columns must be as in training.

    Args:
        sample: columns of numbers and the targets.

    Source: Breck, Zinkevich, Polyzotis, Whang and Roy, "Data validation for machine learning", 2019, section 4 (skew
    between training and serving).
    """
    parts = draw_two_parts(sample)
    sources = _find_sources(parts)
    if sources is None:
        return
    moved = [place for place, source in enumerate(sources) if source != place]
    names = ", ".join(sample.column_name(place) for place in moved)
    places = ", ".join(sample.column_name(sources[place]) for place in moved)
    yield Finding(
        "permuted-columns",
        "error",
        {
            "columns": [sample.column_name(place) for place in moved],
            "training": [sources[place] + 1 for place in moved],
        },
        Message(
            "the columns of the held-out rows are in another order than those of the training rows: at the places of "
            "{names} they have the distributions, and the correlations with the targets, of {places}",
            names=names,
            places=places,
        ),
        Message(
            "choose and order the columns of all parts by one list, such as features = list(train.columns), and "
            "valid[features]; sorted() or a set has another order"
        ),
    )


def _find_sources(parts: TwoParts) -> list[int] | None:
    """Return which training column is at each place of the held-out rows, or None if they do not seem to be moved."""
    x, held_out = parts.x, parts.held_out_x
    if not np.isfinite(x).all() or not np.isfinite(held_out).all() or (np.ptp(x, 0) == 0).any():
        return None
    own_distances = np.array([_measure_distance(a, b) for a, b in zip(x.T, held_out.T, strict=True)])
    if (own_distances > 1).sum() < MIN_MOVED:
        return None
    distances = _measure_distances(parts)
    diagonal = np.diag(distances.correlations)
    sources = _assign(distances)
    moved = np.flatnonzero(sources != np.arange(len(sources)))
    if len(moved) < MIN_MOVED or (distances.distributions[sources, np.arange(len(sources))] > 1).any():
        return None
    z, z_after = diagonal[moved], distances.correlations[sources[moved], moved]
    if (z**2).mean() < MIN_SQUARED_Z or (z_after**2).mean() > MAX_SQUARED_Z:
        return None
    differing = [
        place for place in moved if own_distances[place] > 1 and not _are_like_flags(x[:, place], x[:, sources[place]])
    ]
    return sources.tolist() if len(differing) >= MIN_MOVED else None


def _assign(distances: _Distances) -> np.ndarray:
    """Return the training column of each place, preferably its own one."""
    from scipy.optimize import linear_sum_assignment  # a training imports scipy only where it needs it

    costs = distances.distributions**2 + (distances.correlations / MIN_CORRELATION_Z) ** 2
    costs -= PREFERENCE * np.eye(len(costs))
    result: np.ndarray = linear_sum_assignment(costs.T)[1]
    return result


def _measure_distances(parts: TwoParts) -> _Distances:
    x, held_out = parts.x, parts.held_out_x
    distributions = np.array([[_measure_distance(a, b) for b in held_out.T] for a in x.T])
    error = np.sqrt(1 / (len(x) - 3) + 1 / (len(held_out) - 3))
    training_z, held_out_z = (np.arctanh(_correlate(*part)) for part in ((x, parts.y), (held_out, parts.held_out_y)))
    correlations = np.abs(training_z[:, None] - held_out_z[None]).max(2) / error
    return _Distances(distributions, correlations)


def _measure_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov statistic of two samples relative to its critical value.

    >>> _measure_distance(np.arange(200.0), np.arange(200.0)), _measure_distance(np.zeros(200), np.ones(200)) > 1
    (0.0, True)
    """
    points = np.concatenate([a, b])
    below, other_below = (np.searchsorted(np.sort(part), points, side="right") / len(part) for part in (a, b))
    scale = np.sqrt((len(a) + len(b)) / (len(a) * len(b)))
    return float(np.abs(below - other_below).max() / scale / CRITICAL_DISTANCE)


def _correlate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the correlation of each column with each target ``(D, K)``; 0 for constant ones."""
    x, y = x - x.mean(0), np.nan_to_num(y - np.nanmean(y, 0))
    sizes = np.sqrt((x**2).sum(0))[:, None] * np.sqrt((y**2).sum(0))
    result: np.ndarray = np.clip(np.divide(x.T @ y, sizes, out=np.zeros_like(sizes), where=sizes > 0), -0.99, 0.99)
    return result


def _are_like_flags(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two columns have the same few values.

    >>> _are_like_flags(np.array([0, 1, 1]), np.array([1, 0, 0])), _are_like_flags(np.array([0, 1]), np.array([0, 2]))
    (True, False)
    """
    values, other_values = np.unique(a), np.unique(b)
    return len(values) <= MAX_LEVELS and np.array_equal(values, other_values)
