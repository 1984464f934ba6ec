"""How well the probabilities order the rows."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds, Z


def _questions(y: np.ndarray, prediction: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores ``(N,)`` and truth ``(N,)`` of every class that some rows are of and some are not."""
    if y.ndim == 2:
        pairs = [(prediction[:, c], y[:, c] > 0.5) for c in range(y.shape[1])]
    else:
        first = 1 if prediction.shape[1] == 2 else 0
        pairs = [(prediction[:, c], y == c) for c in range(first, prediction.shape[1])]
    return [(scores, is_c) for scores, is_c in pairs if is_c.any() and not is_c.all()]


def _placed(others: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Share of the sorted ``others`` that each score exceeds, ties counting half."""
    return (np.searchsorted(others, scores) + np.searchsorted(others, scores, "right")) / (2 * len(others))


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """Newcombe's interval of each area, put together as the mean's.

    Each class has a score interval, sensible up to an area of 1 where DeLong's is empty. The distances d_c from
    the value to the bounds add up with the correlations r of the areas (of DeLong's placement values):
    mean ± sqrt(sum of r_cd d_c d_d) / C.

    Sources: Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part
    2", Statistics in Medicine 25, 2006, method 5; Zou and Donner, "Construction of confidence limits about effect
    measures", Statistics in Medicine 27, 2008; DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988.
    """
    questions = _questions(y, prediction)
    if not questions:
        return float("nan"), float("nan")
    areas, influence = np.empty(len(questions)), np.empty((len(questions), len(y)))
    for c, (scores, is_c) in enumerate(questions):
        above = _placed(np.sort(scores[~is_c]), scores[is_c])
        below = 1 - _placed(np.sort(scores[is_c]), scores[~is_c])
        areas[c] = above.mean()
        influence[c, is_c] = (above - areas[c]) / is_c.sum()
        influence[c, ~is_c] = (below - areas[c]) / (~is_c).sum()
    rows = np.array([is_c.sum() for _, is_c in questions])
    covariance = influence @ influence.T
    deviation = np.sqrt(np.diag(covariance))
    deviation[deviation == 0] = np.inf  # a perfect order shows no correlation with any other
    correlation = covariance / np.outer(deviation, deviation)
    np.fill_diagonal(correlation, 1.0)
    down, up = (np.abs(areas - _newcombe(areas, rows, len(y) - rows, end)) for end in (0.0, 1.0))
    value = float(areas.mean())
    return max(0.0, value - _together(down, correlation)), min(1.0, value + _together(up, correlation))


def _together(distances: np.ndarray, correlation: np.ndarray) -> float:
    return float(np.sqrt(max(0.0, distances @ correlation @ distances))) / len(distances)


def _newcombe(areas: np.ndarray, m: np.ndarray, n: np.ndarray, end: float) -> np.ndarray:
    """The bound t between each area A and ``end`` (0 or 1) with abs(A - t) = z sqrt(V(t)), by bisection.

    V(t) = t (1 - t) (1 + q (1 - t) / (2 - t) + q t / (1 + t)) / (m n), q = (m + n) / 2 - 1.
    """
    q = (m + n) / 2 - 1
    inner, outer = areas, np.full(len(areas), end)
    for _ in range(50):
        t = (inner + outer) / 2
        variance = t * (1 - t) * (1 + q * (1 - t) / (2 - t) + q * t / (1 + t)) / (m * n)
        inside = np.abs(areas - t) < Z * np.sqrt(variance)
        inner, outer = np.where(inside, t, inner), np.where(inside, outer, t)
    return (inner + outer) / 2


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    reported=lambda spec: spec.task in ("classification", "multilabel"),
    interval=_interval,
)
def roc_auc_ovr_macro(y: np.ndarray, prediction: np.ndarray) -> float:
    """Area under the ROC curve of each class against the rest, a mean over the classes.

    AUC_c = P(score of a row of c > score of a row not of c), ties counting half. With two classes it is the
    ordinary AUC of the second; with labels, the mean over the labels. A class (or label) of which there is no
    row, or only such rows, is left out; where that leaves none it is NaN.

    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.

    >>> roc_auc_ovr_macro(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]]))
    0.75
    """
    areas = [_placed(np.sort(scores[~is_c]), scores[is_c]).mean() for scores, is_c in _questions(y, prediction)]
    return float(np.mean(areas)) if areas else float("nan")
