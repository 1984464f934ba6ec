"""What a table's columns hold: one pass over the training part, piece by piece, and a sample of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.transforms._chunks import Gather, pieces, spread, width

SAMPLE = 1 << 23
"""Values of a sample: 64 mebibytes as float64. Quantiles of larger parts are those of evenly spaced rows."""
LEAST = 10_000
"""Rows of a sample at least; scikit-learn takes as many."""


@dataclass(frozen=True)
class Survey:
    """What was counted.

    Args:
        mean: of the values that are there, float64 ``(D,)``; 0 for categories and where there is none.
        std: their standard deviation (divided by their number) ``(D,)``; 1 where they are all the same.
        absent: how many are missing or infinite, int64 ``(D,)``.
        levels: rows of each level of each category, by the column's position.
    """

    mean: np.ndarray
    std: np.ndarray
    absent: np.ndarray
    levels: dict[int, np.ndarray]


def survey(x: np.ndarray | Gather, sizes: Sequence[int]) -> Survey:
    """Means, standard deviations, missing values and levels, in one pass.

    Args:
        x: rows ``(N, D)``.
        sizes: number of levels of each category, 0 for columns of numbers ``(D,)``.

    Raises:
        DataError: there is no row.

    Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances
    (1979), equation 2.1; here each column has its own count.
    """
    D = width(x)
    numeric = np.flatnonzero(np.asarray(sizes) == 0)
    levels = {i: np.zeros(size, np.int64) for i, size in enumerate(sizes) if size}
    absent = np.zeros(D, np.int64)
    count, mean, squares = (np.zeros(len(numeric)) for _ in range(3))
    for piece in pieces(x):
        rows = piece[:, :, 0]
        there = np.isfinite(rows)
        absent += len(rows) - there.sum(axis=0)
        for i, counts in levels.items():
            known = (rows[:, i] >= 0) & (rows[:, i] < len(counts))  # NaN is neither
            counts += np.bincount(rows[known, i].astype(np.int64), minlength=len(counts))
        there = there[:, numeric]
        values = np.where(there, rows[:, numeric], 0).astype(np.float64)
        n = there.sum(axis=0)
        here = values.sum(axis=0) / np.maximum(n, 1)
        values = np.where(there, values - here, 0)
        total = np.maximum(count + n, 1)
        delta = here - mean
        squares += np.einsum("nc,nc->c", values, values) + delta**2 * (n * count / total)
        mean += delta * (n / total)
        count += n
    means, stds = np.zeros(D), np.ones(D)
    means[numeric], stds[numeric] = mean, spread(squares, mean, count)
    return Survey(means, stds, absent, levels)


def sample(x: np.ndarray | Gather, numeric: Sequence[int]) -> list[np.ndarray]:
    """The values that are there of some columns, float64, from evenly spaced rows where there are many.

    A column without any is one 0.
    """
    most = max(LEAST, SAMPLE // max(1, x.shape[1]))
    rows = x[:: max(1, -(-len(x) // most))]
    found = []
    for i in numeric:
        values = rows[:, i].astype(np.float64)
        values = values[np.isfinite(values)]
        found.append(values if len(values) else np.zeros(1))
    return found
