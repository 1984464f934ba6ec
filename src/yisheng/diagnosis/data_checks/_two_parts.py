"""Training rows and held-out rows, as plain columns and target values, for checks that compare the two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yisheng.core.messages import Message
from yisheng.diagnosis.sample import Sample

MIN_ROWS, MAX_ROWS = 100, 20_000
"""Rows of each part that are required, and that are compared: of 100, a difference of a quarter is not random."""
MAX_COMMON_FRACTION = 0.9
"""Fraction of the rows with one and the same value, above which a handful of rows decides what is measured."""
MAX_COLUMNS, MAX_CLASSES = 2000, 50
"""Columns that are compared, and the most frequent classes."""


@dataclass(frozen=True)
class TwoParts:
    """Rows of the training part and held-out rows.

    Args:
        x: columns of the training rows ``(N, D)``.
        y: their targets ``(N, K)``: numbers, or 1 for the row's class.
        held_out_x: columns of the held-out rows ``(M, D)``.
        held_out_y: their targets ``(M, K)``.
    """

    x: np.ndarray
    y: np.ndarray
    held_out_x: np.ndarray
    held_out_y: np.ndarray


def explain_skip(sample: Sample) -> str:
    """Return why the parts cannot be compared; empty if they can."""
    held_out = len(sample.rows("validation")) + len(sample.rows("test"))
    if min(len(sample.rows("train")), held_out) < MIN_ROWS:
        return Message("it needs at least {count} training rows and {count} held-out rows", count=MIN_ROWS)
    if sample.spec.is_image or int(np.prod(sample.spec.shape)) > MAX_COLUMNS:
        return Message("the inputs are no columns")
    return ""


def draw_two_parts(sample: Sample) -> TwoParts:
    """Return training rows and the rows of the other parts, at most `MAX_ROWS` of each."""
    train = sample.draw_rows("train", MAX_ROWS)
    parts = [sample.draw_rows(part, MAX_ROWS // 2) for part in ("validation", "test") if len(sample.rows(part))]
    held_out = np.sort(np.concatenate(parts))
    x, held_out_x = (np.asarray(sample.x[rows], np.float64).reshape(len(rows), -1) for rows in (train, held_out))
    targets = sample.y[train], sample.y[held_out]
    if sample.spec.task == "classification" and targets[0].ndim == 1:
        classes, counts = np.unique(targets[0], return_counts=True)
        frequent = classes[np.argsort(-counts, kind="stable")[:MAX_CLASSES]]
        y, held_out_y = ((part[:, None] == frequent).astype(np.float64) for part in targets)
    else:
        y, held_out_y = (np.asarray(part, np.float64).reshape(len(part), -1) for part in targets)
    return TwoParts(x, y, held_out_x, held_out_y)


def are_varied(x: np.ndarray) -> np.ndarray:
    """Return for each column whether no value of it is that of nearly all rows, bool ``(D,)``.

    >>> are_varied(np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])).tolist()
    [False, True]
    """
    return np.array([np.unique(column, return_counts=True)[1].max() <= MAX_COMMON_FRACTION * len(x) for column in x.T])
