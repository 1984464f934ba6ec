"""Test rows that are almost a training row: re-encoded images, copies with a little noise."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import InconclusiveError, Sample, average_pool
from yisheng.diagnosis.wording import format_fraction, join_names

MAX_TEST_ROWS, MAX_TRAINING_ROWS, MAX_SIDE = 600, 10_000, 8
"""Rows that are compared, and pixels per side of an image."""
MIN_TEST_ROWS = 20
"""Rows without which a fraction of 2% cannot be seen."""
NEAR_NEIGHBOR, FAR_NEIGHBOR = 20, 50
"""The neighbors that distances, and the dimension of the data, are measured by."""
NEIGHBOR_INDICES = [0, NEAR_NEIGHBOR - 1, FAR_NEIGHBOR - 1]
MAX_COPY_DISTANCE = 0.1
"""Distance of a copy relative to that of the far neighbor."""
MIN_WARNING, MIN_COPIES = 0.02, 3
"""Fraction of copies that is a warning, and number of copies that is reported."""
MAX_CHANCE, MIN_TIMES_CHANCE = 0.05, 5.0
"""Fraction of rows that are this near at random, above which the check cannot decide; and how many times that fraction
is reported."""


def _explain_skip(sample: Sample) -> str:
    if len(sample.rows("test")) < MIN_TEST_ROWS or len(sample.rows("train")) < 4 * FAR_NEIGHBOR:
        return Message(
            "it needs at least {MIN_TEST_ROWS} test rows and {FAR_NEIGHBOR} training rows",
            MIN_TEST_ROWS=MIN_TEST_ROWS,
            FAR_NEIGHBOR=4 * FAR_NEIGHBOR,
        )
    return (
        Message("with few columns or values rows may be similar by coincidence") if sample.has_coinciding_rows else ""
    )


@register(cost="cheap", needs=_explain_skip)
def near_duplicates(sample: Sample) -> Iterator[Finding]:
    """Find test rows whose nearest training row is much nearer than any other: almost exact copies.

    With d(k) the distance to the k-th nearest training row, a copy has d(1) < 0.1 d(50). In data of dimension
    m = log(50 / 20) / median log(d(50) / d(20)) a fraction 1 - (1 - 0.1^m)^49 of the rows satisfies this at random;
    five times that fraction is reported. Images are compared in grayscale, averaged down to 8 pixels per side, without
    their mean and contrast: re-encoded, brighter and rescaled copies are found, mirrored and shifted ones are not.

    Args:
        sample: its test rows, and the training rows.

    Source: Barz and Denzler, "Do we train on test data? Purging CIFAR of near-duplicates", 2020; Levina and Bickel,
    "Maximum likelihood estimation of intrinsic dimension", 2004, equation 9.
    """
    test_rows, training_rows = sample.draw_rows("test", MAX_TEST_ROWS), sample.draw_rows("train", MAX_TRAINING_ROWS)
    test, training = _comparable_values(sample, test_rows), _comparable_values(sample, training_rows)
    test_rows, test = test_rows[test.any(1)], test[test.any(1)]
    squares = (test**2).sum(1)[:, None] - 2 * (test @ training.T) + (training**2).sum(1)
    nearest_rows = training_rows[squares.argmin(1)]
    distances = np.sqrt(np.maximum(np.partition(squares, NEIGHBOR_INDICES, axis=1)[:, NEIGHBOR_INDICES], 0))
    nearest_distances, near_distances, far_distances = np.maximum(distances, 1e-12).T
    dimension = math.log(FAR_NEIGHBOR / NEAR_NEIGHBOR) / max(
        float(np.median(np.log(far_distances / near_distances))), 1e-12
    )
    chance = float(1 - (1 - MAX_COPY_DISTANCE**dimension) ** (FAR_NEIGHBOR - 1))
    if chance > MAX_CHANCE:
        raise InconclusiveError(f"the data has only about {dimension:.0f} dimensions: rows are similar at random")
    is_equal = np.all(sample.x[test_rows] == sample.x[nearest_rows], axis=tuple(range(1, sample.x.ndim)))
    copies = np.flatnonzero(
        (nearest_distances < MAX_COPY_DISTANCE * far_distances) & ~is_equal
    )  # leaking-rows reports the equal ones
    compared_fraction = len(training_rows) / len(sample.rows("train"))
    fraction = min(1.0, len(copies) / max(1, len(test_rows)) / compared_fraction)
    if len(copies) < MIN_COPIES or fraction < MIN_TIMES_CHANCE * chance:
        return
    pairs = [f"{sample.row_name(test_rows[i])} ~ {sample.row_name(nearest_rows[i])}" for i in copies]
    evidence = {
        "rows": len(copies),
        "of": len(test_rows),
        "fraction": fraction,
        "dimensions": dimension,
        "first": pairs[:20],
    }
    if compared_fraction < 1:
        evidence |= {"training rows compared": len(training_rows), "of all": len(sample.rows("train"))}
    yield Finding(
        "near-duplicates",
        "warning" if fraction >= MIN_WARNING else "note",
        evidence,
        Message(
            "about {fraction} of the test rows are almost equal to a training row, so the score is too good: {pairs}",
            fraction=format_fraction(fraction),
            pairs=join_names(pairs),
        ),
        Message(
            "keep copies, such as frames of one video, in the same part: for a table use group= with a "
            "column that identifies them",
        ),
    )


def _comparable_values(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Return rows as values to compare ``(n, D)``; an image without contrast is all zero."""
    if not sample.spec.is_image:
        return sample.features(rows)
    channels = sample.spec.shape[0]
    gray = average_pool(sample.x, rows, MAX_SIDE).reshape(len(rows), channels, -1).mean(1)
    gray -= gray.mean(1, keepdims=True)
    norm = np.linalg.norm(gray, axis=1, keepdims=True)
    return np.divide(gray, norm, out=np.zeros_like(gray), where=norm > 1e-3 * max(1.0, float(norm.max())))
