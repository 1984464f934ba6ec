"""The distance of two samples of rows, and whether a change of one of them makes them alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

PERMUTATIONS = 40
"""Random divisions of all rows into two samples, whose distances are those of equal distributions."""
MIN_DISTANCE, MIN_DEVIATIONS = 0.01, 5.0
"""Distance of two samples as they are, and the same in standard deviations of random divisions, that shows a
difference; that of normal distributions half a standard deviation apart is 0.06."""
MAX_REMAINING = 0.25
"""Part of that distance that a change may leave if it explains the difference."""


@dataclass(frozen=True)
class Match:
    """A change of evaluated rows that makes them like those of training.

    Args:
        number: of the change.
        distance: of the rows as they are.
        remaining: after the change.
    """

    number: int
    distance: float
    remaining: float


def energy_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return (2 E|X - Y| - E|X - X'| - E|Y - Y'|) / (2 E|X - Y|), which is 0 for equal distributions.

    Args:
        a: rows ``(N, D)``.
        b: rows ``(M, D)``.

    Source: Székely and Rizzo, "Energy statistics: a class of statistics based on distances", 2013.

    >>> g = torch.Generator().manual_seed(0)
    >>> a, b = torch.randn(200, 2, generator=g), torch.randn(200, 2, generator=g)
    >>> abs(energy_distance(a, b)) < 0.02, energy_distance(a, b + 1) > 0.1
    (True, True)
    """
    distances = torch.cdist(torch.cat([a, b]).double(), torch.cat([a, b]).double())
    return _divide(distances, torch.arange(len(distances)) < len(a))


def find_match(
    a: torch.Tensor,
    candidates: Sequence[torch.Tensor],
    *,
    min_distance: float = MIN_DISTANCE,
    max_remaining: float = MAX_REMAINING,
) -> Match | None:
    """Return the change that makes two samples alike, or None if they are alike as they are or no change does.

    Args:
        a: rows of training ``(N, D)``.
        candidates: rows of evaluation ``(M, D)`` as they are, and after each change.
        min_distance: of the rows as they are.
        max_remaining: part of it that a change may leave.
    """
    first = candidates[0]
    scale = torch.maximum(a.std(0), first.std(0)).clamp(min=1e-12)
    distance = energy_distance(a / scale, first / scale)
    if not distance > max(min_distance, MIN_DEVIATIONS * _measure_deviation(a / scale, first / scale)):
        return None
    remaining = [energy_distance(a / scale, rows / scale) for rows in candidates[1:]]
    if not remaining or not min(remaining) < max_remaining * distance:
        return None
    best = min(range(len(remaining)), key=remaining.__getitem__)
    return Match(best, distance, remaining[best])


def _measure_deviation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the standard deviation of the distances of random divisions of the rows of both samples."""
    rows = torch.cat([a, b]).double()
    distances = torch.cdist(rows, rows)
    generator = torch.Generator().manual_seed(0)
    values = [_divide(distances, torch.randperm(len(rows), generator=generator) < len(a)) for _ in range(PERMUTATIONS)]
    return float(torch.tensor(values).std())


def _divide(distances: torch.Tensor, is_first: torch.Tensor) -> float:
    """Return the distance of two parts of rows, by all their distances ``(N, N)``."""
    first, second = is_first.double(), (~is_first).double()
    n, m = float(first.sum()), float(second.sum())
    between = float(first @ distances @ second) / (n * m)
    within = float(first @ distances @ first) / (n * (n - 1)) + float(second @ distances @ second) / (m * (m - 1))
    return (2 * between - within) / (2 * between) if between > 0 else 0.0
