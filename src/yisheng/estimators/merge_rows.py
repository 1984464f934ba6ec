"""Equal rows of a data set merged into one with a larger weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from yisheng.core.dataset import Dataset


def merge_equal_rows(dataset: Dataset) -> Dataset:
    """Return the different rows (inputs and target) in ascending order, each with the total weight of its copies.

    >>> from yisheng.core.spec import Spec
    >>> x, y = np.array([[2.0], [1.0], [2.0]], np.float32), np.array([0, 1, 0])
    >>> merged = merge_equal_rows(Dataset("rows", Spec("classification", (1,), ("a", "b")), x, y))
    >>> merged.x.tolist(), merged.y.tolist(), merged.weight.tolist()
    ([[1.0], [2.0]], [1, 0], [0.5, 1.0])
    """
    x = dataset.x + np.float32(0)  # -0.0 becomes 0.0
    keys = [*dataset.y.reshape(len(x), -1).T, *x.T[::-1]]
    order = np.lexsort(keys)
    starts_group = np.zeros(len(x), bool)
    starts_group[:1] = True
    for key in keys:
        current, previous = key[order][1:], key[order][:-1]
        starts_group[1:] |= (current != previous) & ~(np.isnan(current) & np.isnan(previous))
    weight = np.ones(len(x)) if dataset.weight is None else dataset.weight.astype(np.float64)
    total = np.bincount(np.cumsum(starts_group) - 1, weights=weight[order])
    rows = order[starts_group]
    is_uniform = (total == total[0]).all()
    scaled = None if is_uniform else (total / total.max()).astype(np.float32)
    return replace(dataset, x=x[rows], y=dataset.y[rows], weight=scaled)


def may_have_fewer_rows(dataset: Dataset, limit: int) -> bool:
    """Return whether fewer than ``limit`` different rows are possible: no column has that many different values."""
    columns = (*dataset.y.reshape(len(dataset), -1).T, *dataset.x.T)
    return all(len(np.unique(column)) < limit for column in columns)
