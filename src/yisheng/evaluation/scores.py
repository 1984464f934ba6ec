"""Scores with their 95% confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.score import Score
from yisheng.core.score_keys import join_score_key
from yisheng.core.spec import Spec
from yisheng.evaluation.intervals import compute_interval
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scorer import find_metrics

MAX_SCORED_TARGETS = 32
"""Targets up to which each is scored; a table of more scores would not be read."""


def compute_scores(
    spec: Spec,
    predictions: Predictions,
    names: Sequence[str | Entry] | None = None,
    *,
    extra: Sequence[Entry] = (),
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

    A regression of several targets has the mean R² over the targets, which does not depend on their units, and then
    every metric of each target (``rmse[age]``); see `yisheng.core.score_keys`.

    Args:
        spec: the contract.
        predictions: the predictions.
        names: metrics; None (default) for all that are reported for such data, the default score first. Metrics that
            are named are computed for all targets together only.
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
    metrics = reported_metrics(spec) if names is None else find_metrics(spec, names)
    scores = _compute_metrics([*metrics, *extra], predictions.y, predictions.prediction)
    return scores | _compute_by_target(spec, predictions, extra) if names is None else scores


def _compute_metrics(metrics: Iterable[Entry], y: np.ndarray, prediction: np.ndarray) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    for metric in {entry.key: entry for entry in metrics}.values():
        value = float(metric.build(y, prediction))
        if math.isfinite(value):
            scores[metric.key] = Score(value, *compute_interval(metric, y, prediction, value))
    return scores


def _compute_by_target(spec: Spec, predictions: Predictions, extra: Sequence[Entry]) -> dict[str, Score]:
    """Return the scores of each of several targets, metric by metric; empty for a single target or very many."""
    if spec.task != "regression" or not 1 < spec.outputs <= MAX_SCORED_TARGETS:
        return {}
    single = replace(spec, outputs=1, target_columns=())
    metrics = [*reported_metrics(single), *(entry for entry in extra if not entry.meta.get("custom"))]
    by_target = [
        _compute_metrics(metrics, predictions.y[:, [number]], predictions.prediction[:, [number]])
        for number in range(spec.outputs)
    ]
    return {
        join_score_key(metric.key, name): scores[metric.key]
        for metric in metrics
        for name, scores in zip(spec.target_names, by_target, strict=True)
        if metric.key in scores
    }


def reported_metrics(spec: Spec) -> list[Entry]:
    """Return the metrics that every run on such data reports, the default score first."""
    entries = [entry for entry in registry.entries("metrics") if _is_reported(entry, spec)]
    return sorted(entries, key=lambda entry: not _holds(entry, "default_for", spec))


def _is_reported(entry: Entry, spec: Spec) -> bool:
    return entry.meta.get("scalar", True) and entry.fits(spec) and _holds(entry, "reported", spec)


def _holds(entry: Entry, predicate: str, spec: Spec) -> bool:
    return predicate in entry.meta and bool(entry.meta[predicate](spec))
