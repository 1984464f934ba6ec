"""Words of texts that have nothing to do with the target: they would only be noise to a model of few columns."""

from __future__ import annotations

import numpy as np

from yisheng.core import registry
from yisheng.core.choice import Choice
from yisheng.core.components import is_custom
from yisheng.core.dataset import Dataset
from yisheng.core.word_limits import WORD_PART

MAX_P_VALUE = 0.05
"""A word is kept if one without any relation to the target would seem as related with at most this probability."""
ROWS_PER_READ = 65_536


def choose_unused_words(model: Choice, dataset: Dataset, rows: np.ndarray) -> tuple[int, ...]:
    """Return the positions of the words that a model does without; none for an ensemble.

    Each model of an ensemble chooses for itself, without the rows of its fold: else the out-of-fold predictions would
    know something about the targets of these rows.

    Args:
        model: the choice of the model.
        dataset: the data.
        rows: the training rows.
    """
    if not is_custom(model) and registry.find("models", model.name).meta.get("composite"):
        return ()
    return find_unrelated_words(dataset, rows)


def find_unrelated_words(dataset: Dataset, rows: np.ndarray) -> tuple[int, ...]:
    """Return the positions of the words that the targets of some rows do not depend on, as far as these rows show.

    For classes by the chi-squared test of independence, for numbers by the rank correlation, for several labels or
    numbers by that of the most related one (Bonferroni).

    Args:
        dataset: the data.
        rows: the training rows: no other row has a part in it.

    Source: Guyon and Elisseeff, "An introduction to variable and feature selection", 2003, section 2.
    """
    positions = [i for i, column in enumerate(dataset.spec.columns) if column.text_part.startswith(WORD_PART)]
    if not positions or len(rows) < 2:
        return ()
    p_values = compute_p_values(dataset, rows, positions)
    return tuple(i for i, p in zip(positions, p_values.tolist(), strict=True) if p > MAX_P_VALUE)


def compute_p_values(dataset: Dataset, rows: np.ndarray, positions: list[int]) -> np.ndarray:
    """Return the p-value of each word, float64 ``(len(positions),)``; 1 of one that all rows have, or none.

    Args:
        dataset: the data.
        rows: the training rows.
        positions: the columns of the words.
    """
    from scipy.stats import chi2, rankdata

    y = dataset.y[rows]
    is_classes = dataset.spec.task == "classification"
    targets = (y[:, None] == np.unique(y)).astype(np.float64) if is_classes else y.reshape(len(y), -1)
    if dataset.spec.task == "regression":
        targets = rankdata(targets, axis=0)
    deviation = targets - targets.mean(axis=0)
    n, counts, products = len(rows), np.zeros(len(positions)), np.zeros((len(positions), targets.shape[1]))
    for start in range(0, n, ROWS_PER_READ):
        words = dataset.x[rows[start : start + ROWS_PER_READ]][:, positions].astype(np.float64)
        counts += words.sum(axis=0)
        products += words.T @ deviation[start : start + ROWS_PER_READ]
    fraction = counts / n
    varies = (fraction > 0) & (fraction < 1)
    scale = np.where(varies, fraction * (1 - fraction), 1)[:, None]
    variance = targets.mean(axis=0) if is_classes else np.where(deviation.any(axis=0), (deviation**2).mean(axis=0), 1)
    statistics = n * (products / n) ** 2 / (scale * variance)
    if is_classes:
        p_values = chi2.sf(statistics.sum(axis=1), max(1, targets.shape[1] - 1))
    else:
        p_values = np.minimum(1, targets.shape[1] * chi2.sf(statistics.max(axis=1), 1))
    result: np.ndarray = np.where(varies, p_values, 1.0)
    return result
