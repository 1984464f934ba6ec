"""Test rows that are almost a training row: re-encoded images, copies with a little noise."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.data_checks._formatting import listed, share
from yisheng.diagnosis.sample import InconclusiveError, Sample, average_pool

ASKED, TRAINED, SIDE = 600, 10_000, 8
"""Test rows, training rows and pixels a side that are compared at most."""
NEAR, SOME, LEAST = 0.1, 0.02, 3
"""A row is a copy nearer than this share of the distance to its 50th neighbour; such a share of rows is a warning; so
many rows must be seen at least."""
NEXT, FURTHER = 20, 50
"""The neighbours that distances, and the dimensions that rows fill, are measured by."""
OFTEN, TIMES = 0.05, 5.0
"""Share of rows that are near by chance beyond which nothing can be told; and how many times that share is asked."""
PLACES = [0, NEXT - 1, FURTHER - 1]


def _why_not(sample: Sample) -> str:
    if len(sample.rows("test")) < 20 or len(sample.rows("train")) < 4 * FURTHER:
        return f"it needs 20 test rows and {4 * FURTHER} training rows"
    return "few columns or values: rows may be near one another by coincidence" if sample.has_coinciding_rows else ""


@register(cost="cheap", needs=_why_not)
def near_duplicates(sample: Sample) -> Iterator[Finding]:
    """Test rows whose nearest training row is far nearer than any other: copies, not quite the same.

    With d(k) the distance to the k-th nearest training row: d(1) < 0.1 d(50). Where rows fill m dimensions, m =
    log(50 / 20) / median log(d(50) / d(20)), that happens by chance to 1 - (1 - 0.1^m)^49 of them; five times as many
    are asked. Images are compared in grey, averaged
    down to 8 pixels a side, with their own mean and contrast taken out; so re-encoded, brighter and rescaled copies are
    found, mirrored and shifted ones are not.

    Args:
        sample: its test rows, and the training rows.

    Source: Barz and Denzler, "Do we train on test data? Purging CIFAR of near-duplicates", 2020; Levina and Bickel,
    "Maximum likelihood estimation of intrinsic dimension", 2004, equation 9.
    """
    asked, trained = sample.draw_rows("test", ASKED), sample.draw_rows("train", TRAINED)
    a, b = _plain(sample, asked), _plain(sample, trained)
    asked, a = asked[a.any(1)], a[a.any(1)]
    squares = (a**2).sum(1)[:, None] - 2 * (a @ b.T) + (b**2).sum(1)
    nearest = squares.argmin(1)
    distances = np.sqrt(np.maximum(np.partition(squares, PLACES, axis=1)[:, PLACES], 0))
    first, near, far = np.maximum(distances, 1e-12).T
    filled = math.log(FURTHER / NEXT) / max(float(np.median(np.log(far / near))), 1e-12)
    chance = float(1 - (1 - NEAR**filled) ** (FURTHER - 1))
    if chance > OFTEN:
        raise InconclusiveError(f"the rows fill about {filled:.0f} dimensions only: they are near one another by nature")
    same = np.all(sample.x[asked] == sample.x[trained[nearest]], axis=tuple(range(1, sample.x.ndim)))  # told elsewhere
    copies = np.flatnonzero((first < NEAR * far) & ~same)
    seen = len(trained) / len(sample.rows("train"))
    among = min(1.0, len(copies) / max(1, len(asked)) / seen)
    if len(copies) < LEAST or among < TIMES * chance:
        return
    pairs = [f"{sample.row_name(asked[i])} ~ {sample.row_name(trained[nearest[i]])}" for i in copies]
    evidence = {"rows": len(copies), "of": len(asked), "share": among, "dimensions": filled, "first": pairs[:20]}
    if seen < 1:
        evidence |= {"training rows compared": len(trained), "of all": len(sample.rows("train"))}
    yield Finding(
        "near-duplicates",
        "warning" if among >= SOME else "note",
        evidence,
        f"about {share(among)} of the test rows are almost a training row, so the score flatters: {listed(pairs)}",
        "keep copies, frames of one film and the like in the same part (group= names a column of a table that tells)",
    )


def _plain(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Rows to be compared, ``(n, D)``; an image without any contrast is all zero."""
    if not sample.spec.is_image:
        return sample.features(rows)
    C = sample.spec.shape[0]
    grey = average_pool(sample.x, rows, SIDE).reshape(len(rows), C, -1).mean(1)
    grey -= grey.mean(1, keepdims=True)
    size = np.linalg.norm(grey, axis=1, keepdims=True)
    return np.divide(grey, size, out=np.zeros_like(grey), where=size > 1e-3 * max(1.0, float(size.max())))
