"""Scores with their 95% intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from yisheng.core import registry
from yisheng.core.types import Score, Spec
from yisheng.evaluation.intervals import interval
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scorer import find_metrics


def scores(spec: Spec, predictions: Predictions, names: Sequence[str] | None = None) -> dict[str, Score]:
    """The metrics of some predictions by their name in JSON, each with its 95% interval.

    The intervals tell how far the score of other rows of the same kind may lie from this one; they say nothing
    of training once more with another seed. By metric:

    - proportions of rows (accuracy, top-k, subset accuracy): Wilson's (1927);
    - precision, recall, F1, Hamming loss: percentiles of the Bayesian bootstrap (Rubin 1981) over the cells of
      the confusion matrix or the rows, with one row of prior weight, so that a perfect score has an interval too;
    - AUC: Newcombe's score interval (2006, method 5) for each class, joined by their correlation (Zou and Donner
      2008);
    - calibration error: basic bootstrap, from 0 where a calibrated model would show as much;
    - means over rows (log-loss, MAE, MSE) and what follows from them (RMSE, log-RMSE, R²): percentiles of the
      Bayesian bootstrap, expanded for few rows (Hesterberg 2015);
    - any other: percentiles of the bootstrap over rows.

    Seeds are fixed: the same predictions give the same intervals. Below 2 rows there are none.

    Args:
        spec: the contract.
        predictions: what was predicted.
        names: metrics; None (default) for all that are reported for such data, the default score first.

    Returns:
        Scores by name; a metric that the rows do not define (AUC where all are of one class) is left out.

    Raises:
        UsageError: a metric is unknown, gives a table, or does not fit the data.
        NonFiniteError: a prediction is NaN or infinite.

    >>> import numpy as np
    >>> seen = Predictions(np.array([0, 1, 1, 1]), np.eye(2)[[0, 0, 1, 1]], np.arange(4))
    >>> score = scores(Spec("classification", (1,), classes=("a", "b")), seen, ["accuracy"])["accuracy"]
    >>> score.value, round(score.low, 2), round(score.high, 2)
    (0.75, 0.3, 0.95)
    """
    predictions.require_finite()
    found: dict[str, Score] = {}
    for metric in reported(spec) if names is None else find_metrics(spec, names):
        value = float(metric.build(predictions.y, predictions.prediction))
        if math.isfinite(value):
            low, high = interval(metric, predictions.y, predictions.prediction, value)
            found[metric.key] = Score(value, low, high)
    return found


def reported(spec: Spec) -> list[registry.Entry]:
    """The metrics that every run on such data reports, the default score first."""
    chosen = [entry for entry in registry.entries("metrics") if _is_reported(entry, spec)]
    return sorted(chosen, key=lambda entry: not _holds(entry, "default_for", spec))


def _is_reported(entry: registry.Entry, spec: Spec) -> bool:
    return entry.meta.get("scalar", True) and _holds(entry, "fits", spec) and _holds(entry, "reported", spec)


def _holds(entry: registry.Entry, question: str, spec: Spec) -> bool:
    return question in entry.meta and bool(entry.meta[question](spec))
