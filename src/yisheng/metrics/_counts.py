"""True positives and what they are shares of: precision, recall and F1 in all their averages.

Conventions: a share of nothing (precision of a class never predicted, recall of a class without rows) is 0. A
macro average is over the classes or labels that occur, as truth or as prediction; where none does it is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from yisheng.metrics._bootstrap import RESAMPLES, SEED, Bounds, percentiles, resampled_means


@dataclass(frozen=True)
class Counts:
    """Rows per class (or label): predicted rightly, predicted, and true, ``(..., C)`` each."""

    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


Share = Callable[[Counts], np.ndarray]
Average = Callable[[Share, Counts], np.ndarray]


def predicted_class(prediction: np.ndarray) -> np.ndarray:
    """Number of the most probable class ``(N,)``; of a tie, the first."""
    return prediction.argmax(axis=1)


def count(y: np.ndarray, prediction: np.ndarray) -> Counts:
    """Counts ``(C,)`` from class numbers ``(N,)`` or labels ``(N, L)`` and the predicted probabilities."""
    if y.ndim == 2:
        holds, said = y > 0.5, prediction >= 0.5
        return Counts((holds & said).sum(axis=0), said.sum(axis=0), holds.sum(axis=0))
    classes, said = prediction.shape[1], predicted_class(prediction)
    return Counts(*(np.bincount(rows, minlength=classes) for rows in (y[y == said], said, y)))


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, and 0 where there is nothing to share."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def precision(counts: Counts) -> np.ndarray:
    """Share of the predictions of each class that are right."""
    return share(counts.right, counts.predicted)


def recall(counts: Counts) -> np.ndarray:
    """Share of the rows of each class that are found."""
    return share(counts.right, counts.true)


def f1(counts: Counts) -> np.ndarray:
    """Harmonic mean of precision and recall: 2 right / (predicted + true)."""
    return share(2 * counts.right, counts.predicted + counts.true)


def macro(of: Share, counts: Counts) -> np.ndarray:
    """Mean over the classes that occur."""
    return _mean(of(counts), (counts.predicted + counts.true) > 0)


def weighted(of: Share, counts: Counts) -> np.ndarray:
    """Mean over the classes, each weighted by its rows."""
    return _mean(of(counts), counts.true)


def micro(of: Share, counts: Counts) -> np.ndarray:
    """Of the counts summed over all classes."""
    sums = (values.sum(axis=-1) for values in (counts.right, counts.predicted, counts.true))
    total = Counts(*sums)
    return np.where(total.predicted + total.true > 0, of(total), np.nan)


def averaged(of: Share, average: Average, y: np.ndarray, prediction: np.ndarray) -> float:
    """An averaged share of these rows."""
    return float(average(of, count(y, prediction)))


def averaged_interval(of: Share, average: Average, y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """95% interval of an averaged share: percentiles of the Bayesian bootstrap over the rows.

    For classes that is one gamma variate per cell of the confusion matrix, all that the score depends on. One
    more row of weight Exp(1), of random truth and prediction, keeps the interval from being empty where every
    row is right; it has the weight of a uniform prior of one row.

    Source: Goutte and Gaussier, "A probabilistic interpretation of precision, recall and F-score", 2005;
    Rubin, "The Bayesian bootstrap", 1981.
    """
    return percentiles(average(of, resampled_counts(y, prediction)), len(y))


def resampled_counts(y: np.ndarray, prediction: np.ndarray) -> Counts:
    """Counts ``(R, C)`` of resampled rows, in units of rows."""
    if y.ndim == 2:
        return _resampled_labels(y > 0.5, prediction >= 0.5)
    classes = prediction.shape[1]
    generator = np.random.default_rng(SEED)
    cells, rows = np.unique(y * classes + predicted_class(prediction), return_counts=True)
    resamples = int(np.clip(2_000_000 // max(len(cells), 1), 200, RESAMPLES))
    weights = generator.standard_gamma(rows.astype(np.float32), (resamples, len(cells)), dtype=np.float32)
    extra = generator.standard_exponential(resamples)
    here = np.eye(classes, dtype=np.float32)
    truth, said = np.divmod(cells, classes)
    right = weights @ (here[truth] * (truth == said)[:, None])
    predicted, true = weights @ here[said], weights @ here[truth]
    if len(cells):
        at = np.arange(resamples)
        # Of the classes that occur on either side: the only prediction of a class would swing its precision to 1.
        extra_truth = generator.choice(np.unique(truth), resamples)
        extra_said = generator.choice(np.unique(said), resamples)
        true[at, extra_truth] += extra
        predicted[at, extra_said] += extra
        right[at, extra_truth] += extra * (extra_truth == extra_said)
    return Counts(right, predicted, true)


def _resampled_labels(holds: np.ndarray, said: np.ndarray) -> Counts:
    n, labels = holds.shape
    generator = np.random.default_rng(SEED)
    sums = n * resampled_means(np.concatenate([holds & said, said, holds], axis=1))
    right, predicted, true = (sums[:, at : at + labels] for at in (0, labels, 2 * labels))
    occurring = (holds | said).any(axis=0)
    extra = generator.standard_exponential(len(sums))[:, None] * occurring
    extra_holds, extra_said = generator.integers(2, size=(2, len(sums), labels), dtype=np.int8)
    return Counts(right + extra * extra_holds * extra_said, predicted + extra * extra_said, true + extra * extra_holds)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=-1)
    empty = np.full(np.shape(total), np.nan)
    return np.divide((values * weights).sum(axis=-1), total, out=empty, where=total > 0)
