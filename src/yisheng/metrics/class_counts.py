"""Precision, recall and F1 from the numbers of rows per class, for each class and averaged.

Conventions: a fraction whose denominator is 0 (precision of a class that is never predicted, recall of a class
without rows) is 0. A macro average is over the classes or labels that occur, as truth or as prediction; if none
does, it is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from yisheng.metrics.bootstrap import RESAMPLES, SEED, Bounds, compute_percentile_interval, resample_means


@dataclass(frozen=True)
class ClassCounts:
    """Numbers of rows per class or label, ``(..., C)`` each.

    Args:
        correct: rows of the class that are predicted as the class (true positives).
        predicted: rows that are predicted as the class.
        true: rows of the class.
    """

    correct: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


Average = Literal["macro", "micro", "weighted"]
ClassScore = Callable[[ClassCounts], np.ndarray]
"""Computes a score ``(..., C)`` of each class."""


def predict_class(prediction: np.ndarray) -> np.ndarray:
    """Return the number of the most probable class ``(N,)``, and the first in a tie."""
    return prediction.argmax(axis=1)


def count_by_class(y: np.ndarray, prediction: np.ndarray) -> ClassCounts:
    """Return counts ``(C,)`` from class numbers ``(N,)`` or labels ``(N, L)`` and the predicted probabilities."""
    if y.ndim == 2:
        true, predicted = y > 0.5, prediction >= 0.5
        return ClassCounts((true & predicted).sum(axis=0), predicted.sum(axis=0), true.sum(axis=0))
    classes, predicted = prediction.shape[1], predict_class(prediction)
    return ClassCounts(*(np.bincount(rows, minlength=classes) for rows in (y[y == predicted], predicted, y)))


def precision_per_class(counts: ClassCounts) -> np.ndarray:
    """Return the fraction of the predictions of each class that are correct."""
    return _divide(counts.correct, counts.predicted)


def recall_per_class(counts: ClassCounts) -> np.ndarray:
    """Return the fraction of the rows of each class that are predicted as the class."""
    return _divide(counts.correct, counts.true)


def f1_per_class(counts: ClassCounts) -> np.ndarray:
    """Return the harmonic mean of precision and recall: 2 correct / (predicted + true)."""
    return _divide(2 * counts.correct, counts.predicted + counts.true)


def compute_average(score: ClassScore, average: Average, y: np.ndarray, prediction: np.ndarray) -> float:
    """Return the average of a score over the classes, or of the labels.

    Args:
        score: the score of each class.
        average: macro: the mean over the classes that occur; weighted: the mean over the classes, each weighted
            by its number of rows; micro: the score of the counts summed over all classes.
        y: class numbers ``(N,)`` or labels ``(N, L)``.
        prediction: probabilities.
    """
    return float(_average(score, average, count_by_class(y, prediction)))


def compute_average_interval(score: ClassScore, average: Average, y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """Return the 95% interval of `compute_average`: percentiles of the Bayesian bootstrap over the rows.

    For classes that is one gamma variate per cell of the confusion matrix, since the score depends on nothing else.
    One more row of weight Exp(1), of random truth and prediction, keeps the interval from being empty if every
    row is correct; it has the weight of a uniform prior of one row.

    Source: Goutte and Gaussier, "A probabilistic interpretation of precision, recall and F-score", 2005;
    Rubin, "The Bayesian bootstrap", 1981.
    """
    return compute_percentile_interval(_average(score, average, resample_counts(y, prediction)), len(y))


def resample_counts(y: np.ndarray, prediction: np.ndarray) -> ClassCounts:
    """Return counts ``(R, C)`` of resampled rows, in units of rows."""
    if y.ndim == 2:
        return _resample_labels(y > 0.5, prediction >= 0.5)
    classes = prediction.shape[1]
    generator = np.random.default_rng(SEED)
    cells, rows = np.unique(y * classes + predict_class(prediction), return_counts=True)
    resamples = int(np.clip(2_000_000 // max(len(cells), 1), 200, RESAMPLES))
    weights = generator.standard_gamma(rows.astype(np.float32), (resamples, len(cells)), dtype=np.float32)
    extra = generator.standard_exponential(resamples)
    true_class, predicted_class = np.divmod(cells, classes)
    is_correct = true_class == predicted_class
    true, predicted = (_sum_by_class(weights, labels, classes) for labels in (true_class, predicted_class))
    correct = _sum_by_class(weights[:, is_correct], true_class[is_correct], classes)
    if len(cells):
        resample = np.arange(resamples)
        # Drawn from the classes that occur: the only prediction of a class would change its precision from 0 to 1.
        extra_true = generator.choice(np.unique(true_class), resamples)
        extra_predicted = generator.choice(np.unique(predicted_class), resamples)
        true[resample, extra_true] += extra
        predicted[resample, extra_predicted] += extra
        correct[resample, extra_true] += extra * (extra_true == extra_predicted)
    return ClassCounts(correct, predicted, true)


def _sum_by_class(weights: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the sums ``(R, C)`` of weights ``(R, n)`` with a class each, in time of ``R n``."""
    sums = np.zeros((len(weights), classes), np.float32)
    if len(labels):
        order = labels.argsort(kind="stable")
        present, starts = np.unique(labels[order], return_index=True)
        sums[:, present] = np.add.reduceat(weights[:, order], starts, axis=1)
    return sums


def _resample_labels(y: np.ndarray, prediction: np.ndarray) -> ClassCounts:
    n, labels = y.shape
    generator = np.random.default_rng(SEED)
    sums = n * resample_means(np.concatenate([y & prediction, prediction, y], axis=1))
    correct, predicted, true = (sums[:, start : start + labels] for start in (0, labels, 2 * labels))
    occurring = (y | prediction).any(axis=0)
    extra = generator.standard_exponential(len(sums))[:, None] * occurring
    extra_true, extra_predicted = generator.integers(2, size=(2, len(sums), labels), dtype=np.int8)
    return ClassCounts(
        correct + extra * extra_true * extra_predicted, predicted + extra * extra_predicted, true + extra * extra_true
    )


def _average(score: ClassScore, average: Average, counts: ClassCounts) -> np.ndarray:
    """Return the averaged score ``(...)`` of counts ``(..., C)``."""
    if average == "micro":
        sums = (values.sum(axis=-1) for values in (counts.correct, counts.predicted, counts.true))
        total = ClassCounts(*sums)
        return np.where(total.predicted + total.true > 0, score(total), np.nan)
    weights = counts.true if average == "weighted" else (counts.predicted + counts.true) > 0
    total_weight = weights.sum(axis=-1)
    undefined = np.full(np.shape(total_weight), np.nan)
    return np.divide((score(counts) * weights).sum(axis=-1), total_weight, out=undefined, where=total_weight > 0)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the quotient, and 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(denominator)), where=denominator > 0)
