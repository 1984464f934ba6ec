"""Parts and folds of rows that are not free to be shuffled: in time, in their order, or by groups."""

from __future__ import annotations

import itertools

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2


def in_order(keys: np.ndarray, tests: int, validations: int) -> np.ndarray:
    """The part of each row ``(n,)``: the first train, the last test, rows of equal key in the same part.

    Args:
        keys: what the rows are ordered by ``(n,)``: time, or their number.
        tests: rows wanted in the test part.
        validations: rows wanted in the validation part.

    >>> in_order(np.array([3.0, 1.0, 2.0, 4.0]), 1, 1)
    array([1, 0, 0, 2], dtype=int8)
    """
    order = np.argsort(keys, kind="stable")
    n = len(order)
    ordered = keys[order]
    last = _edge(ordered, n - tests) if tests else n
    middle = _edge(ordered, last - validations) if validations else last
    part = np.full(n, TRAIN, np.int8)
    part[order[middle:last]] = VALIDATION
    part[order[last:]] = TEST
    return part


def by_group(groups: np.ndarray, tests: int, validations: int, keys: np.ndarray) -> np.ndarray:
    """The part of each row ``(n,)``, whole groups drawn by chance until a part has its rows, or nearly.

    A group is taken while that brings the part nearer to its size; one group at least stays for training.

    Args:
        groups: the group of each row ``(n,)``.
        tests: rows wanted in the test part.
        validations: rows wanted in the validation part.
        keys: a random number for each row; those of the groups are their first rows'.

    >>> by_group(np.array([7, 7, 8, 8, 9]), 2, 0, np.array([3, 0, 1, 0, 2]))
    array([0, 0, 2, 2, 0], dtype=int8)
    """
    _, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    left = list(np.argsort(keys[first], kind="stable"))
    of_group = np.full(len(counts), TRAIN, np.int8)
    for part, wanted in ((TEST, tests), (VALIDATION, validations)):
        lacking = wanted
        for group in list(left):
            if len(left) > 1 and lacking > 0 and abs(lacking - counts[group]) < lacking:
                of_group[group] = part
                lacking -= int(counts[group])
                left.remove(group)
    return of_group[inverse]


def folds_in_time(keys: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions of ``k`` training and validation parts: each validation part comes after all that it is trained on.

    The rows lie in k + 1 blocks in the order of time; fold i is trained on the first i and validated on the next.

    Source: Hyndman and Athanasopoulos, "Forecasting: principles and practice", 3rd edition, section 5.10.

    >>> [(a.tolist(), b.tolist()) for a, b in folds_in_time(np.arange(6.0), 2)]
    [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """
    order = np.argsort(keys, kind="stable")
    n, ordered = len(order), keys[order]
    edges = [_edge(ordered, n - (k + 1 - i) * (n // (k + 1))) for i in range(1, k + 1)] + [n]
    return [(np.sort(order[:at]), np.sort(order[at:end])) for at, end in itertools.pairwise(edges)]


def folds_of_groups(groups: np.ndarray, k: int, keys: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """The fold of each row ``(n,)``: the largest groups first, each to the fold that has the fewest rows of its kind.

    Args:
        groups: the group of each row ``(n,)``.
        k: folds.
        keys: a random number for each row: they decide between groups of the same size.
        strata: a number for each row, the same in a group: rows of the same are dealt out evenly first, all of
            them second.
    """
    _, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    rows, kind = np.zeros((int(strata.max(initial=0)) + 1, k), np.int64), strata[first]
    of_group = np.zeros(len(counts), np.int64)
    for group in np.lexsort((keys[first], -counts)):
        of_group[group] = fold = int(np.lexsort((rows.sum(0), rows[kind[group]]))[0])
        rows[kind[group], fold] += counts[group]
    return of_group[inverse]


def _edge(ordered: np.ndarray, at: int) -> int:
    """The nearest place at or before ``at`` that does not part equal values; behind them where there is none."""
    at = max(1, at)
    before = at
    while before > 0 and ordered[before - 1] == ordered[min(at, len(ordered) - 1)]:
        before -= 1
    if before:
        return before
    while at < len(ordered) and ordered[at - 1] == ordered[at]:
        at += 1
    return at
