"""Numbers whose range is a circle: angles, hours, months."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.diagnosis.data_checks._quick_model import explain_skip as explain_few_rows
from yisheng.diagnosis.data_checks._quick_model import extract_features
from yisheng.diagnosis.sample import Sample

MAX_ROWS, NEIGHBORS, TREES = 2000, 8, 40
"""Rows, nearest neighbors of each, and trees that take a second."""
MIN_ROWS, MAX_TARGETS = 200, 8
"""Rows that fill the parts of the range, and targets of each row that are looked at."""
SECTORS = 16
"""Parts of the range: each has a dozen rows of 200."""
MIN_ACROSS = 0.5
"""Neighbors of the rows at one end that are at the other, relative to what they have in the part next to theirs: on a
circle both are the same."""
MIN_SHARE = 0.1
"""Neighbors in a part next to the own one; of inputs that do not determine the target each part has 1 / 16."""
MAX_OTHER = 0.5
"""Neighbors at the mirrored place of rows in the quarter of the range, relative to those across: inputs that determine
a number but for its sign have as many there, a circle with much noise a third."""
MIN_FILLED = 0.3
"""Rows of the least filled part relative to equal ones; only a full circle meets at its ends."""


def explain_skip(sample: Sample) -> str:
    """Return why the check cannot run; empty if it can."""
    if sample.spec.task != "regression" or sample.y.ndim != 2 or sample.y.shape[1] > MAX_TARGETS:
        return Message("the targets are not numbers")
    return explain_few_rows(sample, MIN_ROWS)


@register(cost="trainings", needs=explain_skip, explains=("underfitting", "label-noise"))
def circular_target(sample: Sample) -> Iterator[Finding]:
    """Find a target whose smallest and largest values are next to each other: a network averages them to the middle.

    The range is cut into 16 parts. Of the nearest neighbors of rows in the first and the last part, as many must be at
    the other end as in the part next to theirs, while rows of the quarters have none at the place that is mirrored.
    Columns count as much as they matter to trees that predict the number, its sine and its cosine.

    Args:
        sample: inputs and targets of training rows.

    Source: Mardia and Jupp, "Directional statistics", 2000, section 1.1; Zhou et al., "On the continuity of rotation
    representations in neural networks", 2019.
    """
    rows = sample.draw_rows("train", MAX_ROWS)
    x = extract_features(sample, rows)
    for number in range(sample.y.shape[1]):
        y = sample.y[rows, number].astype(np.float64)
        low, high = float(y.min()), float(y.max())
        part = None if not high > low else _cut(y, low, high)
        if part is None:
            continue
        across, mirrored = _count_neighbors(_weigh(x, y, low, high, sample.seed), part)
        if across < MIN_ACROSS or mirrored > MAX_OTHER * across:
            continue
        yield Finding(
            "circular-target",
            "warning",
            {"target": number + 1, "lowest": low, "highest": high, "neighbors at the other end": across},
            Message(
                "the range of the target from {low} to {high} is a circle: rows with the smallest values are next to "
                "those with the largest ({across} of the neighbors that an inner part has in the next one), and the "
                "mean of both is the opposite side",
                low=f"{low:.3g}",
                high=f"{high:.3g}",
                across=f"{across:.0%}",
            ),
            Message(
                "learn its sine and cosine (two outputs, of 2π(y - {low}) / period) and take atan2 of the predictions",
                low=f"{low:.3g}",
            ),
        )


def _cut(y: np.ndarray, low: float, high: float) -> np.ndarray | None:
    """Return the part of the range of each row, or None if one of them is nearly empty.

    Whole numbers of a few values, such as months, are each a part.
    """
    values = np.unique(y)
    if len(values) < SECTORS:
        part = np.searchsorted(values, y) * SECTORS // max(1, len(values))
        parts = np.unique(part)
        if len(values) < SECTORS // 2 or not np.allclose(np.diff(values), values[1] - values[0]):
            return None
        part, count = np.searchsorted(values, y), len(values)
        part = part * SECTORS // count
    else:
        part, parts = np.minimum(((y - low) / (high - low) * SECTORS).astype(int), SECTORS - 1), np.arange(SECTORS)
    counts = np.bincount(part, minlength=SECTORS)[parts]
    return part if counts.min() >= MIN_FILLED * len(y) / len(parts) else None


def _weigh(x: np.ndarray, y: np.ndarray, low: float, high: float, seed: int) -> np.ndarray:
    """Return the columns times the root of what they matter to trees that predict number and place on a circle."""
    from sklearn.ensemble import ExtraTreesRegressor

    angle = 2 * np.pi * (y - low) / (high - low)
    trees = ExtraTreesRegressor(TREES, min_samples_leaf=5, random_state=derive(seed, "circle") % 2**31)
    trees.fit(x, np.stack([np.sin(angle), np.cos(angle), angle], 1))  # the ends must stay apart if the columns say so
    weighted: np.ndarray = x * np.sqrt(trees.feature_importances_)
    return weighted


def _count_neighbors(x: np.ndarray, part: np.ndarray) -> tuple[float, float]:
    """Return the neighbors of the ends at the other end, and of the quarters at the mirrored place.

    Both are relative to the neighbors that inner parts have in the part next to theirs; 0 if these are few.
    """
    from sklearn.neighbors import NearestNeighbors

    indices = NearestNeighbors(n_neighbors=NEIGHBORS + 1).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    table = np.zeros((SECTORS, SECTORS))
    np.add.at(table, (np.repeat(part, NEIGHBORS), part[indices].ravel()), 1)
    filled = table.sum(1) > 0
    table = table[filled][:, filled] / table[filled].sum(1, keepdims=True)
    count, last = len(table), len(table) - 1
    inner = np.arange(1, last - 1)
    next_share = float(np.mean([table[inner, inner + 1].mean(), table[inner + 1, inner].mean()]))
    if next_share < MIN_SHARE:
        return 0.0, 0.0
    across = min(table[0, last], table[last, 0]) / next_share
    quarter = np.array([count // 4 - 1, count // 4])
    mirrored = float(np.mean([table[quarter, last - quarter], table[last - quarter, quarter]])) / next_share
    return float(across), mirrored
