"""Make an ensemble small enough that its own evaluation fits into the time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.models.ensemble import Ensemble
from yisheng.training.portfolio.fit_member import predict_rows
from yisheng.training.portfolio.prediction_rate import measure_rate

EVALUATION_FRACTION = 0.03
"""Fraction of the time for one prediction of all rows that are evaluated; report and other checks take several."""


def prune(ensemble: Ensemble, weights: np.ndarray, x: np.ndarray, evaluated: int) -> tuple[np.ndarray, float]:
    """Return weights with which the evaluation takes no more than its part of the time, and the rows a second.

    First the fold models of the slowest candidates are reduced to one, then candidates with little weight for their
    time are left out. The best one stays in any case.

    Args:
        ensemble: its fold models are reduced.
        weights: of its candidates.
        x: rows to measure with.
        evaluated: number of rows that will be predicted.
    """
    costs = {number: 1 / _measure(ensemble, number, x) for number in np.flatnonzero(weights).tolist()}
    if ensemble.seconds is None or not evaluated:
        return weights, 1 / sum(costs.values())
    counts = {number: len(ensemble.fold_models[number].members) for number in costs}
    reduced = reduce_costs(costs, counts, weights, EVALUATION_FRACTION * ensemble.seconds / evaluated)
    if reduced == counts:
        return weights, 1 / sum(costs.values())
    for number, count in reduced.items():
        _keep_members(ensemble, number, count)
    new_weights = np.where(np.isin(np.arange(len(weights)), list(reduced)), weights, 0.0)
    count = sum(reduced.values())
    logger.info(Message("{count} models are kept: with more the evaluation would exceed the time", count=count))
    return new_weights / new_weights.sum(), 1 / sum(costs[n] * count / counts[n] for n, count in reduced.items())


def reduce_costs(
    costs: Mapping[int, float], members: Mapping[int, int], weights: np.ndarray, allowed: float
) -> dict[int, int]:
    """Return the number of fold models that each candidate keeps; candidates that are left out are missing.

    Args:
        costs: seconds for a row of each candidate with all its fold models.
        members: number of fold models.
        weights: of the candidates.
        allowed: seconds for a row in all.

    >>> reduce_costs({0: 4.0, 1: 1.0}, {0: 4, 1: 5}, np.array([0.9, 0.1]), allowed=2.0)
    {0: 1, 1: 5}
    """
    counts, cost = dict(members), dict(costs)
    for number in sorted(costs, key=lambda n: -costs[n]):
        if sum(cost.values()) <= allowed:
            return counts
        counts[number], cost[number] = 1, costs[number] / members[number]
    for number in sorted(counts, key=lambda n: weights[n] / max(cost[n], 1e-12)):
        if sum(cost.values()) <= allowed or len(counts) == 1:
            break
        del counts[number], cost[number]
    return counts


def _measure(ensemble: Ensemble, number: int, x: np.ndarray) -> float:
    """Return the rows that a candidate predicts in a second."""
    models, device = ensemble.fold_models[number], ensemble.description.device
    return measure_rate(lambda rows: predict_rows(models, rows, np.arange(len(rows)), device).numpy(), x)


def _keep_members(ensemble: Ensemble, number: int, count: int) -> None:
    """Reduce a candidate to its first fold models."""
    candidates = [dict(entry) for entry in ensemble.plain["candidates"]]
    candidates[number]["members"] = candidates[number]["members"][:count]
    ensemble.describe({**ensemble.plain, "candidates": candidates})
    ensemble.fold_models[number].keep_members(count)
