"""Area under the ROC curve: how well the probabilities order the rows."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics.bootstrap import Bounds, Z


def _binary_problems(y: np.ndarray, prediction: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return scores ``(N,)`` and truth ``(N,)`` of every class that has both positive and negative rows."""
    if y.ndim == 2:
        problems = [(prediction[:, c], y[:, c] > 0.5) for c in range(y.shape[1])]
    else:
        start = 1 if prediction.shape[1] == 2 else 0
        problems = [(prediction[:, c], y == c) for c in range(start, prediction.shape[1])]
    return [(scores, is_positive) for scores, is_positive in problems if is_positive.any() and not is_positive.all()]


def _placement_values(sorted_scores: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the fraction of the sorted scores that each score exceeds; ties count half."""
    below = np.searchsorted(sorted_scores, scores)
    return (below + np.searchsorted(sorted_scores, scores, "right")) / (2 * len(sorted_scores))


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """Return Newcombe's interval of each area, combined to that of the mean.

    Each class has a score interval, which is sensible up to an area of 1, where DeLong's is empty. The distances d_c
    from the value to the bounds add up with the correlations r of the areas (of DeLong's placement values):
    mean ± sqrt(sum of r_cd d_c d_d) / C.

    Sources: Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part
    2", Statistics in Medicine 25, 2006, method 5; Zou and Donner, "Construction of confidence limits about effect
    measures", Statistics in Medicine 27, 2008; DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988.
    """
    problems = _binary_problems(y, prediction)
    if not problems:
        return float("nan"), float("nan")
    areas, influence = np.empty(len(problems)), np.empty((len(problems), len(y)))
    for c, (scores, is_positive) in enumerate(problems):
        positive_placements = _placement_values(np.sort(scores[~is_positive]), scores[is_positive])
        negative_placements = 1 - _placement_values(np.sort(scores[is_positive]), scores[~is_positive])
        areas[c] = positive_placements.mean()
        influence[c, is_positive] = (positive_placements - areas[c]) / is_positive.sum()
        influence[c, ~is_positive] = (negative_placements - areas[c]) / (~is_positive).sum()
    positives = np.array([is_positive.sum() for _, is_positive in problems])
    covariance = influence @ influence.T
    std = np.sqrt(np.diag(covariance))
    std[std == 0] = np.inf  # a perfect order has no correlation with any other
    correlation = covariance / np.outer(std, std)
    np.fill_diagonal(correlation, 1.0)
    lower, upper = (
        np.abs(areas - _newcombe_bounds(areas, positives, len(y) - positives, limit)) for limit in (0.0, 1.0)
    )
    value = float(areas.mean())
    return max(0.0, value - _combine(lower, correlation)), min(1.0, value + _combine(upper, correlation))


def _combine(distances: np.ndarray, correlation: np.ndarray) -> float:
    """Return the distance of the mean's bound: sqrt(sum of r_cd d_c d_d) / C."""
    return float(np.sqrt(max(0.0, distances @ correlation @ distances))) / len(distances)


def _newcombe_bounds(areas: np.ndarray, m: np.ndarray, n: np.ndarray, limit: float) -> np.ndarray:
    """Return the bound t between each area A and ``limit`` (0 or 1) with abs(A - t) = z sqrt(V(t)), by bisection.

    V(t) = t (1 - t) (1 + q (1 - t) / (2 - t) + q t / (1 + t)) / (m n), q = (m + n) / 2 - 1.
    """
    q = (m + n) / 2 - 1
    inner, outer = areas, np.full(len(areas), limit)
    for _ in range(50):
        t = (inner + outer) / 2
        variance = t * (1 - t) * (1 + q * (1 - t) / (2 - t) + q * t / (1 + t)) / (m * n)
        inside = np.abs(areas - t) < Z * np.sqrt(variance)
        inner, outer = np.where(inside, t, inner), np.where(inside, outer, t)
    return (inner + outer) / 2


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    requires="classes or labels",
    reported=lambda spec: spec.task in ("classification", "multilabel"),
    interval=_interval,
)
def roc_auc_ovr_macro(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the area under the ROC curve of each class against all others, a mean over the classes.

    AUC_c = P(score of a row of c > score of a row not of c), ties counting half. With two classes it is the
    ordinary AUC of the second; with labels, the mean over the labels. A class (or label) that has no rows, or all
    of them, is left out; if that leaves none, it is NaN.

    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.

    >>> roc_auc_ovr_macro(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]]))
    0.75
    """
    areas = [
        _placement_values(np.sort(scores[~is_positive]), scores[is_positive]).mean()
        for scores, is_positive in _binary_problems(y, prediction)
    ]
    return float(np.mean(areas)) if areas else float("nan")
