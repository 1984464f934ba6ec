"""What a model must beat: an answer given without looking at the input."""

from __future__ import annotations

import numpy as np

from yisheng.core.types import Score, Spec
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scores import scores


def baseline(spec: Spec, y_train: np.ndarray, y_test: np.ndarray) -> dict[str, Score]:
    """Scores of the best constant answer: the majority class with the classes' shares, or the mean.

    Args:
        spec: the contract.
        y_train: targets of the training part, in the original units; the answer is taken from these only.
        y_test: targets of the rows to score.

    >>> spec = Spec("classification", (1,), classes=("a", "b"))
    >>> baseline(spec, np.array([0, 0, 1]), np.array([0, 1, 0, 0]))["accuracy"].value
    0.75
    """
    if spec.task == "classification":
        answer = np.bincount(y_train, minlength=len(spec.classes)) / len(y_train)
    else:
        answer = y_train.mean(axis=0, dtype=np.float64)
    return scores(spec, Predictions(y_test, np.tile(answer, (len(y_test), 1)), np.arange(len(y_test))))
