"""From probabilities to the classes and labels that they stand for, for many inputs at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LABEL_THRESHOLD = 0.5
"""A multilabel model predicts the labels of at least this probability."""


def rank_classes(probabilities: np.ndarray, count: int) -> np.ndarray:
    """Return the numbers of the most probable classes of each input ``(N, count)``, the first of equal ones first.

    Args:
        probabilities: ``(N, C)``; NaN is the least probable.
        count: number of classes.

    >>> rank_classes(np.array([[0.2, 0.4, 0.4], [0.6, 0.1, 0.3]]), 2).tolist()
    [[1, 2], [0, 2]]
    """
    if count == 1 and not np.isnan(probabilities).any():
        return probabilities.argmax(1)[:, None]  # the same class, without sorting
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :count]


def select_labels(probabilities: np.ndarray, labels: Sequence[str]) -> list[list[str]]:
    """Return the labels of each input that are at least `LABEL_THRESHOLD` probable, the most probable first.

    Args:
        probabilities: ``(N, L)``.
        labels: their names.

    >>> select_labels(np.array([[0.6, 0.9], [0.1, 0.2]]), ["cat", "dog"])
    [['dog', 'cat'], []]
    """
    ranked = rank_classes(probabilities, len(labels))
    counts = (probabilities >= LABEL_THRESHOLD).sum(1)
    return [[labels[n] for n in order[:count]] for order, count in zip(ranked.tolist(), counts.tolist(), strict=True)]
