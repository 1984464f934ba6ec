"""Judge whether a contrastive loss pulls together the pairs that it is to push apart, by their distances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from yisheng.diagnosis.recorder.pair_distances import PairDistances

FIRST_UPDATES = 5
"""Updates during which the distances are still those of the inputs and not what the loss has made of them."""
MIN_FARTHER, DEVIATIONS = 0.6, 3.0
"""Probability that a pulled pair is farther apart than a pushed one, and standard deviations by which it must be above
1/2: an untrained network keeps rows of one kind nearer, or, if the inputs say nothing, as near."""
MIN_LATER, MIN_FARTHER_LATER = 3, 0.4
"""Batches at the end, and the same probability there: what can be learned makes it fall, also for hard pairs that were
far apart at first."""


@dataclass(frozen=True)
class ReversedPairs:
    """Pairs whose label seems to mean the opposite.

    Args:
        pairs: of the first updates.
        farther: probability that a pair that is pulled together is farther apart than one that is pushed, by the
            network's inputs or by its outputs in the first updates.
        farther_later: the same of its outputs in the last batches.
        by_inputs: whether the first number is that of the inputs.
    """

    pairs: int
    farther: float
    farther_later: float
    by_inputs: bool = False


def find_reversed_pairs(entries: Sequence[PairDistances]) -> ReversedPairs | None:
    """Return the pairs if the loss pulls together those that are far apart, and never succeeds; else None.

    Args:
        entries: of the recorded losses.

    >>> first = [PairDistances(step, 50, 50, 0.8, 0.003) for step in range(5)]
    >>> pairs = find_reversed_pairs([*first, *(PairDistances(step, 50, 50, 0.5, 0.003) for step in (9, 19, 39))])
    >>> f"{pairs.farther:.2f}"
    '0.80'
    >>> find_reversed_pairs([*first, *(PairDistances(step, 50, 50, 0.1, 0.003) for step in (9, 19, 39))])
    """
    first = [(entry.farther, entry) for entry in entries if entry.step < FIRST_UPDATES]
    later = [(entry.farther, entry) for entry in entries if entry.step >= FIRST_UPDATES]
    inputs = [(entry.farther_inputs, entry) for entry in entries if not math.isnan(entry.farther_inputs)]
    if not first or len(later) < MIN_LATER:
        return None
    farther_later, _ = _average(later[-MIN_LATER:])
    for values in (inputs, first):
        farther, deviation = _average(values) if values else (0.0, 0.0)
        is_reversed = farther >= MIN_FARTHER and farther - DEVIATIONS * deviation > 0.5
        if is_reversed and farther_later >= MIN_FARTHER_LATER:
            count = sum(entry.pulled + entry.pushed for _, entry in values)
            return ReversedPairs(count, farther, farther_later, values is inputs)
    return None


def _average(values: Sequence[tuple[float, PairDistances]]) -> tuple[float, float]:
    """Return the mean of probabilities, weighted by the inverse variance, and its standard deviation."""
    weights = [1 / entry.variance for _, entry in values]
    mean = sum(weight * value for weight, (value, _) in zip(weights, values, strict=True)) / sum(weights)
    return mean, math.sqrt(1 / sum(weights))
