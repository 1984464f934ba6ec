"""Scores with their 95% confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from yisheng.core import registry
from yisheng.core.types import Score, Spec
from yisheng.evaluation.intervals import compute_interval
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scorer import find_metrics


def compute_scores(
    spec: Spec,
    predictions: Predictions,
    names: Sequence[str | registry.Entry] | None = None,
    *,
    extra: Sequence[registry.Entry] = (),
) -> dict[str, Score]:
    """Compute the metrics of some predictions by their name in JSON, each with its 95% interval.

    The intervals cover the randomness of the sampled rows, not that of training again with another seed. By metric:

    - proportions of rows (accuracy, top-k, subset accuracy): Wilson's (1927);
    - precision, recall, F1, Hamming loss: percentiles of the Bayesian bootstrap (Rubin 1981) over the cells of
      the confusion matrix or the rows, with one row of prior weight, so that a perfect score has an interval too;
    - AUC: Newcombe's score interval (2006, method 5) for each class, joined by their correlation (Zou and Donner
      2008);
    - calibration error: basic bootstrap, starting at 0 if a calibrated model could show the same error;
    - means over rows (log-loss, MAE, MSE) and functions of them (RMSE, log-RMSE, R²): percentiles of the Bayesian
      bootstrap, expanded for few rows (Hesterberg 2015);
    - any other: percentiles of the bootstrap over rows.

    Seeds are fixed: the same predictions give the same intervals. Fewer than 2 rows give no interval.

    Args:
        spec: the contract.
        predictions: the predictions.
        names: metrics; None (default) for all that are reported for such data, the default score first.
        extra: more metrics after these.

    Returns:
        Scores by name; a metric that the rows do not define (AUC of a single class) is left out.

    Raises:
        UsageError: a metric is unknown, gives a table, or does not fit the data.
        NonFiniteError: a prediction is NaN or infinite.

    >>> import numpy as np
    >>> predictions = Predictions(np.array([0, 1, 1, 1]), np.eye(2)[[0, 0, 1, 1]], np.arange(4))
    >>> spec = Spec("classification", (1,), classes=("a", "b"))
    >>> score = compute_scores(spec, predictions, ["accuracy"])["accuracy"]
    >>> score.value, round(score.low, 2), round(score.high, 2)
    (0.75, 0.3, 0.95)
    """
    predictions.require_finite()
    scores: dict[str, Score] = {}
    metrics = reported_metrics(spec) if names is None else find_metrics(spec, names)
    for metric in {entry.key: entry for entry in (*metrics, *extra)}.values():
        value = float(metric.build(predictions.y, predictions.prediction))
        if math.isfinite(value):
            low, high = compute_interval(metric, predictions.y, predictions.prediction, value)
            scores[metric.key] = Score(value, low, high)
    return scores


def reported_metrics(spec: Spec) -> list[registry.Entry]:
    """Return the metrics that every run on such data reports, the default score first."""
    entries = [entry for entry in registry.entries("metrics") if _is_reported(entry, spec)]
    return sorted(entries, key=lambda entry: not _holds(entry, "default_for", spec))


def _is_reported(entry: registry.Entry, spec: Spec) -> bool:
    return entry.meta.get("scalar", True) and entry.fits(spec) and _holds(entry, "reported", spec)


def _holds(entry: registry.Entry, predicate: str, spec: Spec) -> bool:
    return predicate in entry.meta and bool(entry.meta[predicate](spec))
