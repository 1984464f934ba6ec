"""A setting with its number, and how settings are drawn by chance."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yisheng.core.seeds import derive
from yisheng.search.axes import Axis

TRIES = 100
"""Draws in a row that were drawn before, after which a space counts as used up."""


@dataclass(frozen=True)
class Trial:
    """A setting to train.

    Args:
        number: within the search, from 1.
        setting: name of each axis -> its value.
        epochs: to train for, where the search says so itself.
    """

    number: int
    setting: Mapping[str, Any] = field(hash=False)
    epochs: int | None = None


def number(settings: Sequence[Mapping[str, Any]], first: int = 1, epochs: int | None = None) -> list[Trial]:
    """Settings as trials, numbered from ``first`` on."""
    return [Trial(n, setting, epochs) for n, setting in enumerate(settings, first)]


def chance(seed: int, *names: object) -> random.Random:
    """A generator of its own for each use. Only its ``random()`` is used: that alone never changes with Python."""
    return random.Random(derive(seed, "search", *names))


def draw(
    axes: Sequence[Axis], n: int, rng: random.Random, known: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """``n`` different settings by chance, none of them ``known``; fewer where there are no more.

    Args:
        axes: each is drawn by itself: an alternative with equal chances, a range evenly on its scale.
        n: how many.
        rng: whose ``random()`` is drawn from.
        known: settings that are not wanted again.

    >>> axes = [Axis("lr", "optimizer.lr", "log", low=0.001, high=1.0)]
    >>> [0.001 <= setting["lr"] <= 1.0 for setting in draw(axes, 2, chance(0))]
    [True, True]
    """
    seen = {repr(dict(setting)) for setting in known}
    found: list[dict[str, Any]] = []
    tries = 0
    while len(found) < n and tries < TRIES * max(1, space_size(axes, most=n + 1)):
        setting = {axis.name: axis.at(rng.random()) for axis in axes}
        tries += 1
        if repr(setting) not in seen:
            seen.add(repr(setting))
            found.append(setting)
            tries = 0
    return found


def space_size(axes: Sequence[Axis], *, most: int) -> int:
    """How many settings there are, counted up to ``most`` only; a range of real numbers counts as endless."""
    total = 1
    for axis in axes:
        total *= most if axis.count is None else axis.count
        if total >= most:
            return most
    return total


def every(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """All settings of axes with alternatives; the last axis changes fastest."""
    names = [axis.name for axis in axes]
    for values in itertools.product(*(axis.values or () for axis in axes)):
        yield dict(zip(names, values, strict=True))


def ranked(losses: Sequence[float | None]) -> list[int]:
    """Positions, the smallest loss first; failures and NaN last, in their order.

    >>> ranked([2.0, None, 1.0])
    [2, 0, 1]
    """
    worst = [math.inf if loss is None or math.isnan(loss) else loss for loss in losses]
    return sorted(range(len(worst)), key=worst.__getitem__)
