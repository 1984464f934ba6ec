"""Which levels of a category have an indicator, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def choose_levels(
    n: int, absent: np.ndarray, counts: dict[int, np.ndarray], rare: int, most: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Which levels have an indicator of their own: the most frequent, but no rare ones.

    Args:
        n: rows of the training part.
        absent: missing values of each column ``(D,)``.
        counts: rows of each level of each category, by the column's position.
        rare: rows that a level must be in.
        most: indicators that a category has at most, one of them for the pooled levels.

    Returns:
        The categories with pooled levels; the category of each level that is kept, ascending; its number.

    >>> choose_levels(9, np.array([0]), {0: np.array([4, 1, 3, 1])}, 2, 50)
    ((0,), (0, 0), (0, 2))
    """
    pooled, level_of, level = [], [], []
    for i, count in counts.items():
        kept = np.flatnonzero(count >= rare)
        pool = count.sum() > count[kept].sum() or n - absent[i] > count.sum()
        if len(kept) >= most:  # one is for the others, as in scikit-learn
            pool = True
            order = np.lexsort((kept, -count[kept]))  # of equally frequent ones the first
            kept = np.sort(kept[order[: most - 1]])
        pooled += [i] if pool else []
        level_of += [i] * len(kept)
        level += kept.tolist()
    return tuple(pooled), tuple(level_of), tuple(level)


def level_table(
    missing: Sequence[int],
    pooled: Sequence[int],
    level_of: Sequence[int],
    level: Sequence[int],
) -> tuple[list[int], list[int], list[int], list[int], int]:
    """Where each level of each category stands among the indicators.

    Args:
        missing: columns that have an indicator of missing values.
        pooled: categories with an indicator of rare and unseen levels.
        level_of: column of each level that is kept, ascending.
        level: its number.

    Returns:
        The categories' columns; the number of levels that each knows; where each begins in the table; the table:
        for a missing value, an unseen level and each level the place of its indicator; the number of indicators.
        A value without an indicator has the place after the last one.
    """
    kept: dict[int, list[int]] = {column: [] for column in sorted({*pooled, *level_of})}
    for column, number in zip(level_of, level, strict=True):
        kept[column].append(number)
    nowhere = len(level) + len(pooled)
    sizes: list[int] = []
    starts: list[int] = []
    table: list[int] = []
    at = 0
    for column, numbers in kept.items():
        other = at + len(numbers) if column in pooled else nowhere
        size = max(numbers, default=-1) + 1
        places = [nowhere if column in missing else other, other, *[other] * size]
        for place, number in enumerate(numbers, start=at):
            places[2 + number] = place
        sizes.append(size)
        starts.append(len(table))
        table += places
        at += len(numbers) + (column in pooled)
    return [*kept], sizes, starts, table, nowhere
