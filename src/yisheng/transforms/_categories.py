"""The categories and words that get an indicator, and the position of each category's indicator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.word_limits import MAX_FRACTION, WORD_PART, min_word_rows


def choose_categories(
    n: int, missing_counts: np.ndarray, counts: dict[int, np.ndarray], min_frequency: int, max_categories: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the categories that get an indicator: the most frequent ones, but no infrequent ones.

    Args:
        n: rows of the training part.
        missing_counts: number of missing values of each column ``(D,)``.
        counts: rows of each category, by the column's position.
        min_frequency: rows that a category must have.
        max_categories: indicators that a column has at most, including the one for infrequent categories.

    Returns:
        The columns with infrequent categories; column and code of each category with an indicator, ascending.

    >>> choose_categories(9, np.array([0]), {0: np.array([4, 1, 3, 1])}, 2, 50)
    ((0,), (0, 0), (0, 2))
    """
    infrequent_columns, category_columns, category_codes = [], [], []
    for column, count in counts.items():
        frequent = np.flatnonzero(count >= min_frequency)
        has_infrequent = count.sum() > count[frequent].sum() or n - missing_counts[column] > count.sum()
        if len(frequent) >= max_categories:  # one indicator is for the infrequent ones, as in scikit-learn
            has_infrequent = True
            order = np.lexsort((frequent, -count[frequent]))  # the first of equally frequent ones comes first
            frequent = np.sort(frequent[order[: max_categories - 1]])
        infrequent_columns += [column] if has_infrequent else []
        category_columns += [column] * len(frequent)
        category_codes += frequent.tolist()
    return tuple(infrequent_columns), tuple(category_columns), tuple(category_codes)


def find_unused_words(table: Sequence[Column], mean: np.ndarray, n: int) -> tuple[int, ...]:
    """Return the positions of words that too few or almost all rows of the training part have.

    Args:
        table: the columns.
        mean: the fraction of the rows that have each word ``(D,)``.
        n: rows of the training part.

    >>> table = (Column("a"), Column("a has mr", text_part="word:mr"), Column("a has dr", text_part="word:dr"))
    >>> find_unused_words(table, np.array([0.0, 0.5, 0.01]), 100)
    (2,)
    """
    return tuple(
        i
        for i, column in enumerate(table)
        if column.text_part.startswith(WORD_PART) and not min_word_rows(n) <= round(mean[i] * n) <= MAX_FRACTION * n
    )


def build_indicator_table(
    missing: Sequence[int],
    infrequent: Sequence[int],
    category_columns: Sequence[int],
    category_codes: Sequence[int],
) -> tuple[list[int], list[int], list[int], list[int], int]:
    """Return the position of each category's indicator.

    Args:
        missing: columns that have an indicator of missing values.
        infrequent: columns with an indicator of infrequent and unseen categories.
        category_columns: column of each category with an indicator, ascending.
        category_codes: code of each category with an indicator.

    Returns:
        The columns of categories; the number of codes of each; the start of each in the table; the table, with the
        position of the indicator for a missing value, for an unseen category, and for each code; the number of
        indicators. A value without an indicator has the position after the last one.
    """
    codes_of: dict[int, list[int]] = {column: [] for column in sorted({*infrequent, *category_columns})}
    for column, code in zip(category_columns, category_codes, strict=True):
        codes_of[column].append(code)
    no_indicator = len(category_codes) + len(infrequent)
    sizes: list[int] = []
    starts: list[int] = []
    table: list[int] = []
    position = 0
    for column, codes in codes_of.items():
        fallback = position + len(codes) if column in infrequent else no_indicator
        size = max(codes, default=-1) + 1
        positions = [no_indicator if column in missing else fallback, fallback, *[fallback] * size]
        for indicator, code in enumerate(codes, start=position):
            positions[2 + code] = indicator
        sizes.append(size)
        starts.append(len(table))
        table += positions
        position += len(codes) + (column in infrequent)
    return [*codes_of], sizes, starts, table, no_indicator
