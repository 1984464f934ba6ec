"""Wrong labels: how many there are about, and the likeliest rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._forest import learnable, out_of_bag, why_not
from yisheng.diagnosis.data_checks._formatting import SHOWN, listed, share
from yisheng.diagnosis.sample import InconclusiveError, Sample

ROWS, TREES, NAMED = 4000, 100, 20
LEAST = 0.03
"""Share of wrong labels that must be surely there, to be spoken of."""
KNOWS = 0.6
"""Share of the errors of guessing that the quick model may have left: beyond it hard rows cannot be told from wrong."""
EVEN, LEFT, HARDER = 0.42, 0.3, {True: 0.65, False: 1.5}
"""Errors among the surest rows over all errors: wrong labels lie among sure rows as among others, hard rows do not.
Where the quick model has more than `LEFT` of the errors of guessing left, more is asked: for each further one so many
more with two classes, and with several, where wrong labels leave fewer of them."""
UNLIKELY, CLASSES, KNOWN = 3, 6, 0.4
"""Where there are so many classes, and fewer errors left than that, a label behind this many likelier ones is out of
the question."""


@register(cost="trainings", fits=lambda spec: spec.task == "classification", needs=why_not, explains=("overfitting",))
def label_noise(sample: Sample) -> Iterator[Finding]:
    """Rows that a quick model is surest of, without having seen them, have other labels: some labels are wrong.

    Of each class that the model names, the surer half of the rows is taken. The share of other labels among them is the
    share of wrong ones, if it is nearly that among all rows (hard rows are hardly ever among the sure ones); or if the
    labels lie behind three likelier classes. The rows are those of confident learning: with t_k the mean probability
    of class k among rows labelled k, a row labelled j is likely of class k != j where k is the most probable of the
    classes with p_k >= t_k; least p_j - max p first.

    Args:
        sample: its rows of all parts, 4,000 at most.

    Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021, section
    3; Liu and Tao, "Classification with noisy labels by importance reweighting", 2016 (rates from the surest rows).
    """
    rows, x, y = learnable(sample, sample.draw_rows_of_all_parts(ROWS))
    p = out_of_bag(x, y, sample.seed, trees=TREES)
    wrong = p.argmax(1) != y
    guessing = 1 - np.bincount(y).max() / len(y)
    left = float(wrong.mean()) / guessing
    if left > KNOWS:
        raise InconclusiveError(
            f"a quick model is wrong on {share(float(wrong.mean()))} of the rows, guessing on {share(guessing)}: hard "
            "rows cannot be told from wrong labels"
        )
    sure = _surer_half(p)
    among = _shared(wrong[sure], float(wrong.mean()), left, unlikely=_behind(p, y)[sure], C=p.shape[1])
    if among is None:
        return
    likely, says = _confident(p, y)
    known = np.unique(sample.y[rows])
    told = [
        {
            "row": sample.row_name(rows[i]),
            "label": sample.spec.classes[known[y[i]]],
            "likelier": sample.spec.classes[known[says[i]]],
        }
        for i in likely[:NAMED]
    ]
    names = [f"{one['row']} ({one['label']}, likelier {one['likelier']})" for one in told]
    yield Finding(
        "label-noise",
        "warning",
        {"share": among, "likely wrong": len(likely), "rows looked at": len(rows), "likeliest": told},
        f"about {share(among)} of the labels look wrong; the likeliest: {listed(names[:SHOWN])}",
        "look at these rows first and mend their labels; until then label_smoothing= and patience= limit the harm",
    )


def _surer_half(p: np.ndarray) -> np.ndarray:
    """Of the rows that are called each class, the half with the larger probability ``(N,)``."""
    called, sure = p.argmax(1), np.zeros(len(p), bool)
    for k in range(p.shape[1]):
        rows = np.flatnonzero(called == k)
        sure[rows[np.argsort(-p[rows, k], kind="stable")[: (len(rows) + 1) // 2]]] = True
    return sure


def _behind(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether three classes or more are likelier than the label ``(N,)``."""
    given = p[np.arange(len(y)), y]
    behind: np.ndarray = (p > given[:, None]).sum(1) >= UNLIKELY
    return behind


def _shared(wrong: np.ndarray, overall: float, left: float, *, unlikely: np.ndarray, C: int) -> float | None:
    """Share of wrong labels by the sure rows; None where they do not surely show any."""
    asked = EVEN + HARDER[C == 2] * max(0.0, left - LEFT)
    if _at_least(wrong) > max(LEAST, asked * overall):
        return float(wrong.mean())
    if C >= CLASSES and left < KNOWN and _at_least(unlikely) > LEAST:
        return float(min(wrong.mean(), unlikely.mean() * (C - 1) / (C - UNLIKELY)))
    return None


def _at_least(hits: np.ndarray, z: float = 1.2816) -> float:
    """Lower end of Wilson's interval for a share, which it undercuts in one case of ten."""
    n, share = len(hits), float(hits.mean())
    middle, width = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (middle - width) / (1 + z**2 / n)


def _confident(p: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are likely mislabelled, the likeliest first, and the class that each of all rows is likely of."""
    limits = np.array([p[y == k, k].mean() for k in range(p.shape[1])])
    reached = np.where(p >= limits, p, -1.0)
    says = reached.argmax(1)
    likely = np.flatnonzero((reached.max(1) >= 0) & (says != y))
    margin = p[likely, y[likely]] - p[likely].max(1)
    return likely[np.argsort(margin, kind="stable")], says
