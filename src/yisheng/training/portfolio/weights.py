"""Weights of an ensemble's models from out-of-fold predictions: greedy selection, guarded against overfitting them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yisheng.training.portfolio.row_losses import Problem

ROUNDS = 40
"""Additions of a model at most."""
FIRST_COPIES = 5
"""Copies of the best model at most while no addition helps: that of a sixth may where that of a half does not."""
BAGS = 8
MIN_WEIGHT = 0.02
"""A model with less weight costs time and changes nothing."""
EVIDENCE_FRACTION, FEW_ROWS = 0.3, 1000
"""Weights by evidence have this part with up to so many rows, and less with more."""
EVIDENCE_SCALE = 2.0
"""Standard errors behind the best model that divide the weight by e; with less weight than the minimum it gets none."""
MIN_EVIDENCE = 0.2
MAX_LOSS_T = 3.0
"""The best model is used alone if the weighted mean is worse out of fold by more standard errors than this."""
MAX_ROWS = 10_000
"""Rows that the selection reads, drawn at random from more."""


def choose_weights(problem: Problem, folds: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Return non-negative weights ``(M,)`` with sum 1.

    Selection with replacement: the mean of the models begins with the best one, and gets the model (again) that lowers
    the loss most, until none does. This is repeated with random weights of the rows, and the weights are averaged. With
    few rows they are drawn towards weights by evidence, which are the more equal the less the rows tell the models
    apart. The guard: the same is done without the rows of each fold in turn; if the averages chosen so are worse than
    the best single models chosen so, by more than chance on the rows of the folds, the best model alone is returned.

    Args:
        problem: predictions and loss.
        folds: row numbers of each fold.
        seed: of the random weights.

    Source: Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models", 2004.
    """
    rng = np.random.default_rng(seed % 2**32)
    problem, rows = take_random_rows(problem, seed)
    folds = [np.flatnonzero(np.isin(rows, fold)) for fold in folds]
    if problem.count == 1 or _loses_out_of_fold(problem, folds, rng):
        return _one_hot(problem.count, choose_best(problem))
    weights = _mix(problem, rng, BAGS)
    weights[weights < MIN_WEIGHT] = 0.0
    return weights / weights.sum()


def weigh_by_evidence(problem: Problem) -> np.ndarray:
    """Return weights ``(M,)`` that fall with the number of standard errors that a model is behind the best one.

    Models that are clearly worse get none.
    """
    losses = np.stack([problem.losses_of(part) for part in problem.parts])
    differences = losses - losses[choose_best(problem)]
    standard_errors = differences.std(1) / np.sqrt(losses.shape[1])
    behind = np.divide(differences.mean(1), standard_errors, out=np.zeros(len(losses)), where=standard_errors > 0)
    weights: np.ndarray = np.exp(-np.maximum(behind, 0.0) / EVIDENCE_SCALE)
    weights[weights < MIN_EVIDENCE] = 0.0
    return weights / weights.sum()


def _mix(problem: Problem, rng: np.random.Generator, bags: int) -> np.ndarray:
    """Return selected weights, drawn towards those by evidence if there are few rows."""
    fraction = EVIDENCE_FRACTION * min(1.0, (FEW_ROWS / len(problem.weight)) ** 0.5)
    mixed: np.ndarray = (1 - fraction) * _average_bags(problem, rng, bags) + fraction * weigh_by_evidence(problem)
    return mixed


def take_random_rows(problem: Problem, seed: int) -> tuple[Problem, np.ndarray]:
    """Return the problem of at most `MAX_ROWS` rows, and their numbers, ascending."""
    count = len(problem.weight)
    if count <= MAX_ROWS:
        return problem, np.arange(count)
    rows = np.sort(np.random.default_rng(seed % 2**32).choice(count, MAX_ROWS, replace=False))
    return problem.take(rows), rows


def choose_best(problem: Problem) -> int:
    """Return the number of the model with the smallest mean loss."""
    losses = [problem.losses_of(part).mean() for part in problem.parts]
    return int(np.nanargmin(losses))


def select_greedily(problem: Problem) -> np.ndarray:
    """Return the fractions ``(M,)`` in which models were added, starting with the best one."""
    first = choose_best(problem)
    counts, total = _one_hot(problem.count, first), problem.parts[first]
    current = float(problem.losses_of(total).mean())
    for _ in range(ROUNDS):
        size = counts.sum() + 1
        losses = [float(problem.losses_of((total + part) / size).mean()) for part in problem.parts]
        best = int(np.argmin(losses))
        if losses[best] >= current:
            if size > FIRST_COPIES or counts[first] < size - 1:
                break
            best, losses[first] = first, current
        counts[best] += 1
        total, current = total + problem.parts[best], losses[best]
    return counts / counts.sum()


def _average_bags(problem: Problem, rng: np.random.Generator, bags: int) -> np.ndarray:
    """Return the mean weights over random weights of the rows (the Bayesian bootstrap)."""
    rows = np.arange(len(problem.weight))
    draws = [problem.take(rows, rng.standard_exponential(len(rows))) for _ in range(bags)]
    mean: np.ndarray = np.mean([select_greedily(draw) for draw in draws], axis=0)
    return mean


def _loses_out_of_fold(problem: Problem, folds: Sequence[np.ndarray], rng: np.random.Generator) -> bool:
    """Return whether the weights are clearly worse than the best model, on rows that neither was chosen by."""
    gains = []
    for fold in folds:
        other_rows = np.setdiff1d(np.arange(len(problem.weight)), fold)
        if not len(fold) or not len(other_rows):
            continue
        fitting, held_out = problem.take(other_rows), problem.take(fold)
        single, mean = _one_hot(problem.count, choose_best(fitting)), _mix(fitting, rng, 2)
        gains.append(held_out.row_losses(single) - held_out.row_losses(mean))
    if not gains:
        return True
    gain = np.concatenate(gains)
    return float(gain.mean()) < -MAX_LOSS_T * float(gain.std()) / len(gain) ** 0.5


def _one_hot(count: int, number: int) -> np.ndarray:
    weights = np.zeros(count)
    weights[number] = 1.0
    return weights
