"""Wrong labels: about how many there are, and the most likely rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.data_checks._quick_model import explain_skip, predict_probabilities, select_learnable
from yisheng.diagnosis.sample import HeldOutPredictions, InconclusiveError, Sample
from yisheng.diagnosis.wording import MAX_NAMES, format_fraction, join_names

MAX_ROWS, TREES, MAX_EVIDENCE = 4000, 100, 20
"""Rows and trees that take seconds, and likely wrong rows that are listed."""
MIN_NOISE = 0.03
"""Fraction of wrong labels whose lower confidence limit must be above this to be reported."""
MAX_REMAINING_ERRORS = 0.6
"""Errors of the quick model relative to those of a constant guess; above it, difficult rows and wrong labels look
alike."""
MIN_CONFIDENT_ERRORS = 0.42
"""Error rate among the confident rows over that among all rows: wrong labels are as frequent among confident rows as
among others, difficult rows are not."""
EASY_REMAINING_ERRORS, STRICTNESS_TWO_CLASSES, STRICTNESS = 0.3, 0.65, 1.5
"""If the quick model has more remaining errors than the first number, the required ratio rises, per unit, by one of the
other two: with several classes wrong labels cause fewer of the remaining errors."""
UNLIKELY_RANK, MIN_CLASSES, MAX_ERRORS_FOR_RANK = 3, 6, 0.4
"""With this many classes, and fewer remaining errors, a label with this many more probable classes is wrong."""
SURE_FRACTION, MIN_SURE_ROWS = 0.25, 30
"""Fraction of the rows of each predicted class with the largest probability, and rows that are required, to compare
the labels that contradict the network by how probable they are."""
MIN_RANK_CLASSES, MIN_IMPROBABLE = 4, 0.03
"""Classes from which on ranks are compared; and fraction of labels that are among the less probable half of the other
classes, as a lower limit: half of the labels that are wrong at random are, and hardly any correct one of a difficult
row."""
Z_90 = 1.2816
"""Quantile of a one-sided 90% confidence limit."""


@register(
    cost="trainings", fits=lambda spec: spec.task == "classification", needs=explain_skip, explains=("overfitting",)
)
def label_noise(sample: Sample) -> Iterator[Finding]:
    """Find labels that contradict the most confident out-of-bag predictions of a quick model.

    Of each predicted class, the more confident half of the rows is used. The error rate there is the fraction of wrong
    labels if it is close to that of all rows (difficult rows are rarely confident), or if three classes are more
    probable than the label. The rows are those of confident learning: with t_k the mean probability of class k among
    rows labeled k, a row labeled j probably belongs to class k != j if k is the most probable of the classes with
    p_k >= t_k; ordered by p_j - max p.

    If the network's own held-out predictions are there, they are looked at first; see `find_contradicted_labels`.

    Args:
        sample: its rows of all parts, at most 4,000.

    Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021, section
    3; Liu and Tao, "Classification with noisy labels by importance reweighting", 2016 (rates from the surest rows);
    Pleiss et al., "Identifying mislabeled data using the area under the margin ranking", 2020; Arpit et al., "A closer
    look at memorization in deep networks", 2017 (correct labels are learned first).
    """
    if sample.network is not None:
        finding = find_contradicted_labels(sample, sample.network)
        if finding is not None:
            yield finding
            return
    rows, x, y = select_learnable(sample, sample.draw_rows_of_all_parts(MAX_ROWS))
    p = predict_probabilities(x, y, sample.seed, trees=TREES)
    wrong = p.argmax(1) != y
    error, guess_error = float(wrong.mean()), 1 - np.bincount(y).max() / len(y)
    remaining = error / guess_error
    if remaining > MAX_REMAINING_ERRORS:
        raise InconclusiveError(
            f"a quick model is wrong on {format_fraction(error)} of the rows, a constant guess on "
            f"{format_fraction(guess_error)}: difficult rows cannot be distinguished from wrong labels"
        )
    confident = _confident_half(p)
    unlikely = _is_unlikely(p, y)[confident]
    noise = _estimate_noise(wrong[confident], unlikely, error=error, remaining=remaining, classes=p.shape[1])
    if noise is not None:
        class_numbers = np.unique(sample.y[rows])
        yield _build_finding(sample, HeldOutPredictions(rows, p, "a quick model"), y, class_numbers, noise)


def find_contradicted_labels(sample: Sample, predictions: HeldOutPredictions) -> Finding | None:
    """Return the finding that labels contradict a network's own held-out predictions at random, or None.

    Of each predicted class the quarter of the rows with the largest probability is used. A difficult row has a label
    that is almost as probable as the predicted one; a wrong label may be any of the others, so half of the wrong ones
    are among the less probable half of the classes.

    Args:
        sample: the data.
        predictions: of the network.
    """
    labels, p = sample.y[predictions.rows], predictions.probabilities
    if sample.spec.task != "classification" or p.shape != (len(labels), len(sample.spec.classes)):
        return None
    if not np.isfinite(p).all():
        return None
    noise = predictions.noise if predictions.noise is not None else estimate_random_labels(p, labels)
    if noise is None:
        return None
    return _build_finding(sample, predictions, labels, np.arange(p.shape[1]), noise)


def estimate_random_labels(p: np.ndarray, y: np.ndarray) -> float | None:
    """Return the fraction of labels that are wrong at random, or None if there are none with certainty.

    Args:
        p: held-out probabilities ``(n, C)``.
        y: labels ``(n,)``.

    >>> draw = np.random.default_rng(0)
    >>> true, p = draw.integers(0, 10, 2000), 0.04 + 0.01 * draw.random((2000, 10))
    >>> p[np.arange(2000), true] += 0.5
    >>> y = np.where(draw.random(2000) < 0.3, draw.integers(0, 10, 2000), true)
    >>> round(estimate_random_labels(p, y), 1), estimate_random_labels(p, true)
    (0.3, None)
    """
    classes = p.shape[1]
    sure = _confident_part(p, SURE_FRACTION)
    if classes < MIN_RANK_CLASSES or sure.sum() < MIN_SURE_ROWS:
        return None
    p_sure, y_sure = p[sure], y[sure]
    label = p_sure[np.arange(len(y_sure)), y_sure][:, None]
    above, equal = (p_sure > label).sum(1), (p_sure == label).sum(1)
    ranks = (above - 1 + (equal - 1) / 2) / (classes - 2)  # -1/(C - 2) for the most probable class
    if _lower_limit(ranks > 1 / 2) < MIN_IMPROBABLE:
        return None
    improbable = float((ranks > 1 / 2).mean() + (ranks == 1 / 2).mean() / 2)
    return min(float((above > 0).mean()), 2 * improbable)


def _build_finding(
    sample: Sample, predictions: HeldOutPredictions, y: np.ndarray, class_numbers: np.ndarray, noise: float
) -> Finding:
    """Return the finding with the rows that are most likely mislabeled.

    Args:
        sample: the data.
        predictions: held-out predictions.
        y: labels ``(n,)``, as columns of the probabilities.
        class_numbers: the class of each column.
        noise: fraction of wrong labels.
    """
    rows = predictions.rows
    suspects, suggested = _find_suspects(predictions.probabilities, y)
    if predictions.margins is not None:
        suspects = suspects[np.argsort(predictions.margins[suspects], kind="stable")]
    evidence = [
        {
            "row": sample.row_name(rows[i]),
            "label": sample.spec.classes[class_numbers[y[i]]],
            "likelier": sample.spec.classes[class_numbers[suggested[i]]],
        }
        for i in suspects[:MAX_EVIDENCE]
    ]
    names = [f"{row['row']} (labeled {row['label']}, probably {row['likelier']})" for row in evidence]
    counts = {"likely wrong": len(suspects), "rows looked at": len(rows)}
    return Finding(
        "label-noise",
        "warning",
        {"fraction": noise, **counts, "by": predictions.description, "likeliest": evidence},
        Message(
            "about {noise} of the labels look wrong, most likely {names}",
            noise=format_fraction(noise),
            names=join_names(names[:MAX_NAMES]),
        ),
        Message(
            "correct the labels of these rows first; until then label_smoothing= and patience= limit the harm",
        ),
        rows=tuple(int(rows[i]) for i in suspects[:MAX_EVIDENCE]),
    )


def _confident_half(p: np.ndarray) -> np.ndarray:
    """Return a mask of the half of the rows of each predicted class with the larger probability ``(N,)``."""
    return _confident_part(p, 0.5)


def _confident_part(p: np.ndarray, fraction: float) -> np.ndarray:
    """Return a mask of this fraction of the rows of each predicted class, those with the largest probability."""
    predicted, confident = p.argmax(1), np.zeros(len(p), bool)
    for k in range(p.shape[1]):
        rows = np.flatnonzero(predicted == k)
        confident[rows[np.argsort(-p[rows, k], kind="stable")[: math.ceil(fraction * len(rows))]]] = True
    return confident


def _is_unlikely(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return whether at least `UNLIKELY_RANK` classes are more probable than the label ``(N,)``."""
    label_probability = p[np.arange(len(y)), y]
    unlikely: np.ndarray = (p > label_probability[:, None]).sum(1) >= UNLIKELY_RANK
    return unlikely


def _estimate_noise(
    wrong: np.ndarray, unlikely: np.ndarray, *, error: float, remaining: float, classes: int
) -> float | None:
    """Return the fraction of wrong labels, or None if the confident rows do not show any with certainty.

    Args:
        wrong: whether a confident row is predicted differently from its label.
        unlikely: whether several classes are more probable than its label.
        error: error rate of the quick model on all rows.
        remaining: this error rate relative to that of a constant guess.
        classes: number of classes.
    """
    strictness = STRICTNESS_TWO_CLASSES if classes == 2 else STRICTNESS
    required = MIN_CONFIDENT_ERRORS + strictness * max(0.0, remaining - EASY_REMAINING_ERRORS)
    if _lower_limit(wrong) > max(MIN_NOISE, required * error):
        return float(wrong.mean())
    if classes >= MIN_CLASSES and remaining < MAX_ERRORS_FOR_RANK and _lower_limit(unlikely) > MIN_NOISE:
        return float(min(wrong.mean(), unlikely.mean() * (classes - 1) / (classes - UNLIKELY_RANK)))
    return None


def _lower_limit(hits: np.ndarray, z: float = Z_90) -> float:
    """Return the lower limit of Wilson's interval for the fraction of hits."""
    n, fraction = len(hits), float(hits.mean())
    center, width = fraction + z**2 / (2 * n), z * math.sqrt(fraction * (1 - fraction) / n + z**2 / (4 * n**2))
    return (center - width) / (1 + z**2 / n)


def _find_suspects(p: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are probably mislabeled, the most likely first, and the suggested class of every row."""
    thresholds = np.array([p[y == k, k].mean() if (y == k).any() else np.inf for k in range(p.shape[1])])
    candidates = np.where(p >= thresholds, p, -1.0)
    suggested = candidates.argmax(1)
    suspects = np.flatnonzero((candidates.max(1) >= 0) & (suggested != y))
    margin = p[suspects, y[suspects]] - p[suspects].max(1)
    return suspects[np.argsort(margin, kind="stable")], suggested
