"""Test rows that are not like the training rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._forest import features, out_of_bag
from yisheng.diagnosis.data_checks._formatting import listed
from yisheng.diagnosis.sample import Sample

ROWS, TREES, LEAST = 1500, 100, 50
SHIFTED, FAR = 0.55, 0.7
"""The lower end of the AUC's 95% interval from which on it is a note, and a warning; 0.5 is chance."""
NAMED = 5


def _why_not(sample: Sample) -> str:
    if sample.grouped:
        return "rows come in groups: those of other groups are always told apart"
    few = min(len(sample.rows("train")), len(sample.rows("test")))
    return "" if few >= LEAST else f"it needs {LEAST} training rows and as many test rows"


@register(cost="trainings", needs=_why_not)
def shifted_rows(sample: Sample) -> Iterator[Finding]:
    """A quick model tells test rows from training rows: the test score is about other rows than were learnt from.

    As many training as test rows are drawn; the area under the ROC curve is that of rows that a tree has not seen,
    with Hanley and McNeil's standard error. The columns named differ most by the statistic of Kolmogorov and Smirnov.

    Args:
        sample: its training and test rows, 1,500 each at most.

    Source: Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", 2017; Hanley and McNeil, "The meaning and use
    of the area under a ROC curve", 1982.
    """
    n = min(ROWS, len(sample.rows("train")), len(sample.rows("test")))
    train, test = sample.draw_rows("train", n), sample.draw_rows("test", n)
    x = np.concatenate([features(sample, train), features(sample, test)])
    y = np.repeat([0, 1], n)
    auc, error = _area(out_of_bag(x, y, sample.seed, trees=TREES)[:, 1], y)
    low, high = auc - 1.96 * error, min(1.0, auc + 1.96 * error)
    if low < SHIFTED:
        return
    names, evidence = _differing(sample, x[:n], x[n:])
    why = "the parts were cut in order" if sample.ordered else "the parts were not drawn alike"
    yield Finding(
        "shifted-rows",
        "warning" if low >= FAR else "note",
        {"auc": auc, "low": low, "high": high, "rows of each": n, **evidence},
        f"test rows can be told from training rows (AUC {auc:.2f}, {low:.2f} to {high:.2f}; 0.5 is chance): {why}"
        + (f"; they differ most in {listed(names)}" if names else ""),
        "take the test score as one about other rows than were learnt from; for one about the same rows draw the parts "
        "by chance (split=random, without a test file), or leave out columns that only tell when or where",
    )


def _area(score: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and its standard error.

    >>> area, error = _area(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))
    >>> area
    1.0
    """
    _, at, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[at]
    m, n = int((y == 1).sum()), int((y == 0).sum())
    area = float((ranks[y == 1].sum() - m * (m + 1) / 2) / (m * n))
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (m - 1) * (one - area**2) + (n - 1) * (two - area**2)
    return area, float(np.sqrt(max(spread, 0.0) / (m * n)))


def _differing(sample: Sample, a: np.ndarray, b: np.ndarray) -> tuple[list[str], dict[str, object]]:
    """Names of the features that differ most; of images their brightness and contrast, as evidence."""
    if sample.spec.is_image:
        parts = {"training": a, "test": b}
        told = {name: [float(one.mean()), float(one.std(1).mean())] for name, one in parts.items()}
        return [], {"brightness and contrast": told}
    apart = np.array([_kolmogorov(a[:, i], b[:, i]) for i in range(a.shape[1])])
    most = [i for i in np.argsort(-apart, kind="stable")[:NAMED] if apart[i] > 0.1]
    names = [sample.feature_names[i] for i in most]
    return names, {"differing": dict(zip(names, apart[most].tolist(), strict=True))}


def _kolmogorov(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance between two distribution functions."""
    points = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(np.sort(one), points, side="right") / len(one) for one in (a, b)]
    return float(np.abs(below[0] - below[1]).max())
