"""Trials: settings with a number, and how random settings are drawn."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yisheng.core.seeds import derive
from yisheng.search.axes import Axis

MAX_REPEATED_DRAWS = 100
"""Draws without a new setting, per setting of the space, after which all settings count as drawn."""


@dataclass(frozen=True)
class Trial:
    """A setting to train.

    Args:
        number: its number within the search, from 1.
        setting: name of each axis -> its value.
        epochs: number of epochs, if the sampler decides about it.
    """

    number: int
    setting: Mapping[str, Any] = field(hash=False)
    epochs: int | None = None


def number_trials(settings: Sequence[Mapping[str, Any]], first: int = 1, epochs: int | None = None) -> list[Trial]:
    """Return settings as trials with numbers from ``first`` on."""
    return [Trial(n, setting, epochs) for n, setting in enumerate(settings, first)]


def make_generator(seed: int, *names: object) -> random.Random:
    """Return a generator for one use. Only its ``random()`` is used: it is the same in all versions of Python."""
    return random.Random(derive(seed, "search", *names))


def draw_settings(
    axes: Sequence[Axis], n: int, rng: random.Random, excluded: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Draw ``n`` different random settings; fewer if the space has no more.

    Args:
        axes: drawn independently: equally likely alternatives, and ranges uniformly on their scale.
        n: number of settings.
        rng: the generator, whose ``random()`` is used.
        excluded: settings that are not drawn again.

    >>> axes = [Axis("lr", "optimizer.lr", "log", low=0.001, high=1.0)]
    >>> [0.001 <= setting["lr"] <= 1.0 for setting in draw_settings(axes, 2, make_generator(0))]
    [True, True]
    """
    drawn = {repr(dict(setting)) for setting in excluded}
    settings: list[dict[str, Any]] = []
    draws = 0
    while len(settings) < n and draws < MAX_REPEATED_DRAWS * max(1, count_settings(axes, limit=n + 1)):
        setting = {axis.name: axis.value_at(rng.random()) for axis in axes}
        draws += 1
        if repr(setting) not in drawn:
            drawn.add(repr(setting))
            settings.append(setting)
            draws = 0
    return settings


def count_settings(axes: Sequence[Axis], *, limit: int) -> int:
    """Return the number of settings, or ``limit`` if there are more; a range of real numbers counts as infinite."""
    total = 1
    for axis in axes:
        total *= limit if axis.count is None else axis.count
        if total >= limit:
            return limit
    return total


def iterate_grid(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Yield all settings of axes with alternatives; the last axis changes fastest."""
    names = [axis.name for axis in axes]
    for values in itertools.product(*(axis.values or () for axis in axes)):
        yield dict(zip(names, values, strict=True))


def rank(losses: Sequence[float | None]) -> list[int]:
    """Return positions in order of their losses, the smallest first; failures and NaN last, in their order.

    >>> rank([2.0, None, 1.0])
    [2, 0, 1]
    """
    keys = [math.inf if loss is None or math.isnan(loss) else loss for loss in losses]
    return sorted(range(len(keys)), key=keys.__getitem__)
