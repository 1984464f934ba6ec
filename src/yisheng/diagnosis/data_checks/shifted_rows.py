"""Test rows with another distribution than the training rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks._quick_model import extract_features, predict_probabilities
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import join_names

MIN_ROWS, MAX_ROWS, TREES = 50, 1500, 100
"""Rows of each part without which the interval of the AUC holds 0.7 at random, rows that take seconds, and trees."""
MIN_AUC, MIN_AUC_WARNING = 0.55, 0.7
"""Lower limit of the AUC's 95% interval that is a note, and a warning; 0.5 means equal distributions."""
MIN_COLUMN_DISTANCE, MAX_COLUMNS = 0.1, 5
"""Kolmogorov-Smirnov statistic of the columns that are named, and their number."""
Z_95 = 1.96
"""Quantile of a two-sided 95% interval."""


def _explain_skip(sample: Sample) -> str:
    if sample.grouped:
        return Message("rows belong to groups, and those of different groups always differ")
    rows = min(len(sample.rows("train")), len(sample.rows("test")))
    return (
        ""
        if rows >= MIN_ROWS
        else Message("it needs at least {MIN_ROWS} training rows and {MIN_ROWS} test rows", MIN_ROWS=MIN_ROWS)
    )


@register(cost="trainings", needs=_explain_skip)
def shifted_rows(sample: Sample) -> Iterator[Finding]:
    """Find test rows that a quick model distinguishes from training rows: the score is that of other rows.

    The same number of training and test rows is drawn. The AUC is computed from out-of-bag probabilities, with Hanley
    and McNeil's standard error. The named columns have the largest Kolmogorov-Smirnov statistics.

    Args:
        sample: its training and test rows, at most 1,500 each.

    Source: Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", 2017; Hanley and McNeil, "The meaning and use
    of the area under a ROC curve", 1982.
    """
    n = min(MAX_ROWS, len(sample.rows("train")), len(sample.rows("test")))
    rows = (sample.draw_rows("train", n), sample.draw_rows("test", n))
    x = np.concatenate([extract_features(sample, part) for part in rows])
    y = np.repeat([0, 1], n)
    auc, error = _compute_auc(predict_probabilities(x, y, sample.seed, trees=TREES)[:, 1], y)
    low, high = auc - Z_95 * error, min(1.0, auc + Z_95 * error)
    if low < MIN_AUC:
        return
    names, evidence = _compare_features(sample, x[:n], x[n:])
    reason = (
        Message("the parts are in order") if sample.ordered else Message("the parts were not drawn in the same way")
    )
    problem = Message(
        "test rows can be distinguished from training rows (AUC {auc}, {low} to {high}; 0.5 if they are alike): "
        "{reason}",
        auc=f"{auc:.2f}",
        low=f"{low:.2f}",
        high=f"{high:.2f}",
        reason=reason,
    )
    yield Finding(
        "shifted-rows",
        "warning" if low >= MIN_AUC_WARNING else "note",
        {"auc": auc, "low": low, "high": high, "rows of each": n, **evidence},
        Message("{problem}; they differ most in {names}", problem=problem, names=join_names(names))
        if names
        else problem,
        Message(
            "read the test score as that of other rows than the training rows; for similar rows draw the "
            "parts at random (split=random, without a test file), or drop columns that only identify "
            "time or place",
        ),
    )


def _compute_auc(score: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the area under the ROC curve and its standard error.

    >>> area, error = _compute_auc(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))
    >>> area
    1.0
    """
    _, value_index, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[value_index]
    m, n = int((y == 1).sum()), int((y == 0).sum())
    area = float((ranks[y == 1].sum() - m * (m + 1) / 2) / (m * n))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (m - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)
    return area, float(np.sqrt(max(variance, 0.0) / (m * n)))


def _compare_features(sample: Sample, training: np.ndarray, test: np.ndarray) -> tuple[list[str], dict[str, object]]:
    """Return the names of the features that differ most, and evidence; for images their brightness and contrast."""
    if sample.spec.is_image:
        parts = {"training": training, "test": test}
        statistics = {name: [float(x.mean()), float(x.std(1).mean())] for name, x in parts.items()}
        return [], {"brightness and contrast": statistics}
    distances = np.array([_kolmogorov_smirnov(a, b) for a, b in zip(training.T, test.T, strict=True)])
    order = np.argsort(-distances, kind="stable")[:MAX_COLUMNS]
    columns = [i for i in order if distances[i] > MIN_COLUMN_DISTANCE]
    names = [sample.feature_names[i] for i in columns]
    return names, {"differing": dict(zip(names, distances[columns].tolist(), strict=True))}


def _kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest difference between two empirical distribution functions."""
    points = np.sort(np.concatenate([a, b]))
    a_below, b_below = (np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (a, b))
    return float(np.abs(a_below - b_below).max())
