"""Numbers in place of categories, for trees that split numbers only; each split of them is one of categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_INDICATORS = 10
"""A column with more categories than this gets mean targets and counts, with fewer an indicator for each."""
MAX_MEANS = 8
"""Mean targets of a column at most: those of the most frequent classes."""
MEAN_FOLDS = 10
PRIOR_ROWS = 1.0
"""Rows with the mean of all that are added to those of a category."""


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers that a tree may split.

    Args:
        source: the column that it is made of.
        values: its number for each code, and for a missing one at the end ``(C + 1,)``; None of a column of numbers.
    """

    source: int
    values: np.ndarray | None = None

    def list_codes_left(self, border: float) -> np.ndarray:
        """Return which codes, and at the end whether missing ones, have at most a number, bool ``(C + 1,)``.

        >>> NumberColumn(0, np.array([0.2, 0.9, 0.4])).list_codes_left(0.5)
        array([ True, False,  True])
        """
        if self.values is None:
            raise ValueError("a column of numbers has no codes")
        goes_left: np.ndarray = self.values <= border
        return goes_left


def number_categories(
    x: np.ndarray, y: np.ndarray, sizes: dict[int, int], weight: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, list[NumberColumn]]:
    """Return rows without categories ``(N, D')``, float32, and what their columns are.

    A row's mean targets are those of rows of other folds, so that none tells its own target; the tables of the columns,
    by which later rows are split, are those of all rows.

    Args:
        x: rows ``(N, D)`` with the codes of categories; NaN where one is missing.
        y: what is averaged ``(N, V)``.
        sizes: number of categories C of each column that has some.
        weight: weights of the rows ``(N,)``, or None.
        rng: draws the folds.

    Source: Prokhorenkova et al., "CatBoost: unbiased boosting with categorical features", 2018.

    >>> x, y = np.array([[0.0], [1.0], [np.nan], [1.0]]), np.zeros((4, 1))
    >>> rows, columns = number_categories(x, y, {0: 2}, None, np.random.default_rng(0))
    >>> rows[:, 1], columns[1].values  # the indicator of code 1, next to those of 0 and of missing values
    (array([0., 1., 0., 1.], dtype=float32), array([0., 1., 0.]))
    """
    weight = np.ones(len(x)) if weight is None else weight.astype(np.float64)
    folds = rng.permutation(len(x)) % MEAN_FOLDS
    blocks: list[np.ndarray] = []
    columns: list[NumberColumn] = []
    for source in range(x.shape[1]):
        if source not in sizes:
            blocks.append(x[:, source])
            columns.append(NumberColumn(source))
            continue
        count = sizes[source]
        codes = np.where(np.isnan(x[:, source]), count, x[:, source]).astype(np.int64)
        present = np.unique(codes)
        if len(present) <= MAX_INDICATORS:
            tables = list(_make_indicators(present, count + 1))
            blocks += [table[codes] for table in tables]
        else:
            tables = [np.bincount(codes, minlength=count + 1).astype(np.float64)]
            blocks.append(tables[0][codes])
            for target in y[:, :MAX_MEANS].T.astype(np.float64):
                tables.append(_average(codes, target, weight, count + 1))
                blocks.append(_average_out_of_fold(codes, target, weight, count + 1, folds))
        columns += [NumberColumn(source, table) for table in tables]
    return np.stack(blocks, axis=1).astype(np.float32), columns


def _make_indicators(present: np.ndarray, size: int) -> np.ndarray:
    """Return the tables of the indicators: one for each code that occurs, of two codes only for the second one."""
    return np.eye(size)[present[1:] if len(present) == 2 else present]


def _average(codes: np.ndarray, target: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    mean = np.average(target, weights=weight)
    sums = np.bincount(codes, target * weight, size) + PRIOR_ROWS * mean
    averages: np.ndarray = sums / (np.bincount(codes, weight, size) + PRIOR_ROWS)
    return averages.astype(np.float32).astype(np.float64)


def _average_out_of_fold(
    codes: np.ndarray, target: np.ndarray, weight: np.ndarray, size: int, folds: np.ndarray
) -> np.ndarray:
    numbers = np.zeros(len(codes))
    for fold in range(MEAN_FOLDS):
        rows, averaged = folds == fold, folds != fold
        if rows.any() and weight[averaged].sum() > 0:
            numbers[rows] = _average(codes[averaged], target[averaged], weight[averaged], size)[codes[rows]]
    return numbers


def list_targets(y: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Return what is averaged ``(N, V)``: whether a row is of a class, or its number.

    Args:
        y: class numbers or numbers ``(N,)``.
        classes: class numbers; none for numbers, and of two classes the second one is enough.

    >>> list_targets(np.array([0, 2, 2]), [0, 1, 2])
    array([[0., 1., 0.],
           [1., 0., 0.],
           [1., 0., 0.]])
    """
    if not len(classes):
        return y[:, None].astype(np.float64)
    if len(classes) == 2:
        return (y == classes[1])[:, None].astype(np.float64)
    frequent = sorted(classes, key=lambda label: -int((y == label).sum()))
    return np.stack([y == label for label in frequent], axis=1).astype(np.float64)
