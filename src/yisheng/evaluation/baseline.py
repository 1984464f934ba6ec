"""The baseline that a model must beat: a constant prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yisheng.core.entry import Entry
from yisheng.core.score import Score
from yisheng.core.spec import Spec
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scores import compute_scores


def score_baseline(
    spec: Spec, y_train: np.ndarray, y_test: np.ndarray, *, extra: Sequence[Entry] = ()
) -> dict[str, Score]:
    """Evaluate the best constant prediction: the class frequencies of the training part, or the mean of its targets.

    Args:
        spec: the contract.
        y_train: targets of the training part, in the original units; the prediction is computed from these only.
        y_test: targets of the rows to score.
        extra: more metrics than those of every run.

    >>> spec = Spec("classification", (1,), classes=("a", "b"))
    >>> score_baseline(spec, np.array([0, 0, 1]), np.array([0, 1, 0, 0]))["accuracy"].value
    0.75
    """
    if spec.task == "classification":
        prediction = np.bincount(y_train, minlength=len(spec.classes)) / len(y_train)
    else:
        prediction = y_train.mean(axis=0, dtype=np.float64)
    predictions = Predictions(y_test, np.tile(prediction, (len(y_test), 1)), np.arange(len(y_test)))
    return compute_scores(spec, predictions, extra=extra)
