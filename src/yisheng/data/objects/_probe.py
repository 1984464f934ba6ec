"""Whether a data set gives the same item each time it is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from yisheng.core.generator_states import GeneratorStates, preserve_generators, seed_generators
from yisheng.data.objects._items import ItemRule

Repetition = Literal["equal", "random", "own generator"]
"""Items are the same each time, draw from the global generators, or from a generator of the data set's own."""
MAX_PROBED_ITEMS, MAX_SECONDS = 8, 2.0
FIRST_SEED, SECOND_SEED = 1, 2


def probe_items(read: Callable[[int], Any], rule: ItemRule, count: int) -> Repetition:
    """Ask twice for the same items, under equal and under different seeds; the caller's generators are restored.

    A read that draws numbers counts as random even if the items are equal: an augmentation may have changed nothing.

    Args:
        read: returns the item of a row.
        rule: which parts of an item are what.
        count: number of rows.

    >>> import random
    >>> probe_items(lambda row: (row, 0), ItemRule((0,), 1), 3)
    'equal'
    >>> probe_items(lambda row: (row + random.random(), 0), ItemRule((0,), 1), 3)
    'random'
    """
    rows = sorted({round(row) for row in np.linspace(0, count - 1, min(count, MAX_PROBED_ITEMS))})
    return _probe([lambda row=row: rule.to_arrays(read(row), f"row {row}") for row in rows])  # type: ignore[misc]


def probe_passes(read: Callable[[], Iterator[Any]], rule: ItemRule) -> Repetition:
    """Ask twice for the first items of an iterable data set; see `probe_items`."""

    def read_first() -> Any:
        items = []
        for number, item in enumerate(read()):
            items.append(rule.to_arrays(item, f"item {number}"))
            if number + 1 == MAX_PROBED_ITEMS:
                break
        return items

    return _probe([read_first])


def _probe(reads: list[Callable[[], Any]]) -> Repetition:
    start, result = time.monotonic(), "equal"
    with preserve_generators():
        for read in reads:
            first, has_drawn = _read_seeded(read, FIRST_SEED)
            second, _ = _read_seeded(read, SECOND_SEED)
            repeated, _ = _read_seeded(read, FIRST_SEED)
            if not _are_equal(first, repeated):
                return "own generator"
            if has_drawn or not _are_equal(first, second):
                result = "random"
            if time.monotonic() - start > MAX_SECONDS:
                break
    return result  # type: ignore[return-value]  # one of the three


def _read_seeded(read: Callable[[], Any], seed: int) -> tuple[Any, bool]:
    """Return what is read under a seed, and whether reading it drew a number."""
    seed_generators(seed)
    states = GeneratorStates()
    value = read()
    return value, GeneratorStates() != states


def _are_equal(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        same_form = isinstance(second, np.ndarray) and first.shape == second.shape and first.dtype == second.dtype
        if not same_form:
            return False
        return bool(np.array_equal(first, second, equal_nan=first.dtype.kind in "fc"))
    if isinstance(first, tuple | list):
        return len(first) == len(second) and all(map(_are_equal, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_are_equal(first[key], second[key]) for key in first)
    return bool(first == second)
