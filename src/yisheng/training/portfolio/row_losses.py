"""The loss of each row that the weights of an ensemble minimize, from predictions that can be averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from yisheng.core.spec import Spec

MIN_PROBABILITY = 1e-7
ABSOLUTE_SCORES = ("mae",)
LOG_SCORES = ("log-rmse",)


@dataclass(frozen=True)
class Problem:
    """Predictions of several models for the same rows, and what is to be minimized.

    Args:
        parts: of the predictions what the loss needs, ``(M, N, V)``: the probability of the true class or labels, or
            the numbers; the parts of a mean prediction are the mean of the parts.
        loss: the loss of each row from the parts ``(N, V)`` and the row numbers.
        weight: weights of the rows ``(N,)``, with mean 1.
    """

    parts: np.ndarray
    loss: Callable[[np.ndarray, np.ndarray], np.ndarray]
    weight: np.ndarray

    @property
    def count(self) -> int:
        """Return the number of models."""
        return len(self.parts)

    def take(self, rows: np.ndarray, weight: np.ndarray | None = None) -> Problem:
        """Return the problem of some rows, with their weights multiplied by others if they are given."""
        loss = self.loss
        product = self.weight[rows] if weight is None else self.weight[rows] * weight
        return Problem(self.parts[:, rows], lambda parts, index: loss(parts, rows[index]), product)

    def row_losses(self, weights: np.ndarray) -> np.ndarray:
        """Return the weighted loss of each row ``(N,)`` of the mean with these weights ``(M,)``."""
        used = np.flatnonzero(weights)
        return self.losses_of(np.tensordot(weights[used], self.parts[used], axes=1))

    def losses_of(self, parts: np.ndarray) -> np.ndarray:
        """Return the weighted loss of each row ``(N,)`` from the parts ``(N, V)`` of a prediction."""
        return self.loss(parts, np.arange(len(self.weight))) * self.weight


def make_problem(
    spec: Spec, predictions: list[np.ndarray], y: np.ndarray, weight: np.ndarray | None, score: str
) -> Problem:
    """Return what is to be minimized so that a score becomes good.

    Classes and labels: the log-loss, whose weights are good for accuracy and AUC too and less noisy. Numbers: the
    absolute error for MAE, the squared error of the logarithm for log-RMSE, else the squared error, in units of each
    target's variance.

    Args:
        spec: the contract.
        predictions: of each model, probabilities or numbers ``(N, V)``.
        y: targets.
        weight: weights of the rows, or None.
        score: name of the metric.
    """
    weights = np.ones(len(y)) if weight is None else weight / max(float(weight.mean()), 1e-12)
    stacked = np.stack([prediction.astype(np.float64) for prediction in predictions])
    if spec.task == "classification":
        parts = stacked[:, np.arange(len(y)), y, None]
        return Problem(parts, lambda p, _: -np.log(p[:, 0].clip(MIN_PROBABILITY)), weights)
    if spec.task == "multilabel":
        parts = np.where(y > 0.5, stacked, 1 - stacked)
        return Problem(parts, lambda p, _: -np.log(p.clip(MIN_PROBABILITY)).mean(1), weights)
    truth = y.astype(np.float64).reshape(len(y), -1)
    if score in LOG_SCORES and truth.min() > 0:
        smallest = truth.min() * 1e-3
        return Problem(stacked, lambda p, i: (np.log(p.clip(smallest) / truth[i]) ** 2).mean(1), weights)
    if score in ABSOLUTE_SCORES:
        size = np.maximum(np.abs(truth - np.median(truth, 0)).mean(0), 1e-300)
        return Problem(stacked, lambda p, i: (np.abs(p - truth[i]) / size).mean(1), weights)
    variance = np.maximum(truth.var(0), 1e-300)
    return Problem(stacked, lambda p, i: ((p - truth[i]) ** 2 / variance).mean(1), weights)
