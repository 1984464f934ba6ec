"""Statistics of a table's columns: one pass over the training part in chunks, and a sample of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.transforms._row_chunks import RowSubset, compute_std, count_columns, iterate_chunks

SAMPLE_VALUES = 1 << 23
"""Values of a sample: 64 mebibytes as float64. Quantiles of larger parts are those of evenly spaced rows."""
MIN_SAMPLE_ROWS = 10_000
"""Fewest rows of a sample of a larger part, as in scikit-learn."""


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of all columns.

    Args:
        mean: mean of the finite values, float64 ``(D,)``; 0 for categories and for columns without any.
        std: their population standard deviation ``(D,)``; 1 where all are equal.
        missing_counts: number of missing or infinite values, int64 ``(D,)``.
        category_counts: rows of each category, by the column's position.
    """

    mean: np.ndarray
    std: np.ndarray
    missing_counts: np.ndarray
    category_counts: dict[int, np.ndarray]


def compute_statistics(x: np.ndarray | RowSubset, sizes: Sequence[int]) -> ColumnStatistics:
    """Compute means, standard deviations, missing values and category counts, in one pass.

    Args:
        x: rows ``(N, D)``.
        sizes: number of categories of each column, 0 for columns of numbers ``(D,)``.

    Raises:
        DataError: there are no rows.

    Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances
    (1979), equation 2.1; here each column has its own count.
    """
    D = count_columns(x)
    numeric = np.flatnonzero(np.asarray(sizes) == 0)
    category_counts = {i: np.zeros(size, np.int64) for i, size in enumerate(sizes) if size}
    missing_counts = np.zeros(D, np.int64)
    count, mean, squares = (np.zeros(len(numeric)) for _ in range(3))
    for chunk in iterate_chunks(x):
        rows = chunk[:, :, 0]
        finite = np.isfinite(rows)
        missing_counts += len(rows) - finite.sum(axis=0)
        for i, counts in category_counts.items():
            valid = (rows[:, i] >= 0) & (rows[:, i] < len(counts))  # False for NaN
            counts += np.bincount(rows[valid, i].astype(np.int64), minlength=len(counts))
        finite = finite[:, numeric]
        values = np.where(finite, rows[:, numeric], 0).astype(np.float64)
        n = finite.sum(axis=0)
        chunk_mean = values.sum(axis=0) / np.maximum(n, 1)
        values = np.where(finite, values - chunk_mean, 0)
        total = np.maximum(count + n, 1)
        delta = chunk_mean - mean
        squares += np.einsum("nc,nc->c", values, values) + delta**2 * (n * count / total)
        mean += delta * (n / total)
        count += n
    means, stds = np.zeros(D), np.ones(D)
    means[numeric], stds[numeric] = mean, compute_std(squares, mean, count)
    return ColumnStatistics(means, stds, missing_counts, category_counts)


def sample_values(x: np.ndarray | RowSubset, numeric: Sequence[int]) -> list[np.ndarray]:
    """Return the finite values of some columns, float64, from evenly spaced rows if there are many.

    A column without any gets a single 0.
    """
    max_rows = max(MIN_SAMPLE_ROWS, SAMPLE_VALUES // max(1, x.shape[1]))
    rows = x[:: max(1, -(-len(x) // max_rows))]
    samples = []
    for i in numeric:
        values = rows[:, i].astype(np.float64)
        values = values[np.isfinite(values)]
        samples.append(values if len(values) else np.zeros(1))
    return samples
