"""Parts and folds of rows that must not be shuffled freely: in time, in their order, or by groups."""

from __future__ import annotations

import itertools

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2


def split_in_order(keys: np.ndarray, n_test: int, n_validation: int) -> np.ndarray:
    """Return the part of each row ``(n,)``: the first rows train, the last test; equal keys are in the same part.

    Args:
        keys: the sort key of each row ``(n,)``: its time, or its number.
        n_test: rows of the test part.
        n_validation: rows of the validation part.

    >>> split_in_order(np.array([3.0, 1.0, 2.0, 4.0]), 1, 1)
    array([1, 0, 0, 2], dtype=int8)
    """
    order = np.argsort(keys, kind="stable")
    n = len(order)
    sorted_keys = keys[order]
    test_start = _align_edge(sorted_keys, n - n_test) if n_test else n
    validation_start = _align_edge(sorted_keys, test_start - n_validation) if n_validation else test_start
    part = np.full(n, TRAIN, np.int8)
    part[order[validation_start:test_start]] = VALIDATION
    part[order[test_start:]] = TEST
    return part


def split_by_group(groups: np.ndarray, n_test: int, n_validation: int, keys: np.ndarray) -> np.ndarray:
    """Return the part of each row ``(n,)``, complete groups drawn at random until a part has its size approximately.

    A group is drawn if that brings the part closer to its size; one group at least stays for training.

    Args:
        groups: the group of each row ``(n,)``.
        n_test: rows of the test part.
        n_validation: rows of the validation part.
        keys: a random number for each row; a group has that of its first row.

    >>> split_by_group(np.array([7, 7, 8, 8, 9]), 2, 0, np.array([3, 0, 1, 0, 2]))
    array([0, 0, 2, 2, 0], dtype=int8)
    """
    _, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    available = list(np.argsort(keys[first], kind="stable"))
    part_of_group = np.full(len(counts), TRAIN, np.int8)
    for part, size in ((TEST, n_test), (VALIDATION, n_validation)):
        missing = size
        for group in list(available):
            if len(available) > 1 and missing > 0 and abs(missing - counts[group]) < missing:
                part_of_group[group] = part
                missing -= int(counts[group])
                available.remove(group)
    return part_of_group[inverse]


def make_time_folds(keys: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the row positions of ``k`` training and validation parts: validation comes after training in time.

    The rows are divided into k + 1 blocks in the order of time; fold i trains on the first i and validates on the next.

    Source: Hyndman and Athanasopoulos, "Forecasting: principles and practice", 3rd edition, section 5.10.

    >>> [(a.tolist(), b.tolist()) for a, b in make_time_folds(np.arange(6.0), 2)]
    [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """
    order = np.argsort(keys, kind="stable")
    n, sorted_keys = len(order), keys[order]
    edges = [_align_edge(sorted_keys, n - (k + 1 - i) * (n // (k + 1))) for i in range(1, k + 1)] + [n]
    return [(np.sort(order[:start]), np.sort(order[start:end])) for start, end in itertools.pairwise(edges)]


def make_group_folds(groups: np.ndarray, k: int, keys: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Return the fold of each row ``(n,)``: largest groups first, each to the fold with the fewest rows of its stratum.

    Args:
        groups: the group of each row ``(n,)``.
        k: number of folds.
        keys: a random number for each row, which orders groups of the same size.
        strata: the stratum of each row, the same in a group: first the rows of each stratum are balanced over the
            folds, then all rows.
    """
    _, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    stratum_of_group = strata[first]
    rows = np.zeros((int(strata.max(initial=0)) + 1, k), np.int64)
    fold_of_group = np.zeros(len(counts), np.int64)
    for group in np.lexsort((keys[first], -counts)):
        stratum = stratum_of_group[group]
        fold_of_group[group] = fold = int(np.lexsort((rows.sum(0), rows[stratum]))[0])
        rows[stratum, fold] += counts[group]
    return fold_of_group[inverse]


def _align_edge(sorted_keys: np.ndarray, edge: int) -> int:
    """Return the nearest edge at or before ``edge`` that does not separate equal keys; if there is none, after them."""
    edge = max(1, edge)
    aligned = edge
    while aligned > 0 and sorted_keys[aligned - 1] == sorted_keys[min(edge, len(sorted_keys) - 1)]:
        aligned -= 1
    if aligned:
        return aligned
    while edge < len(sorted_keys) and sorted_keys[edge - 1] == sorted_keys[edge]:
        edge += 1
    return edge
