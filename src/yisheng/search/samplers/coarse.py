"""From coarse to fine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Sequence
from typing import Annotated, Any

from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, chance, draw, number, ranked


@register
def coarse(
    axes: Sequence[Axis], *, n: int, seed: int = 0, rounds: Annotated[int, Interval(ge=2, le=10)] = 2
) -> Generator[list[Trial], list[float | None], None]:
    """Random over the whole box, then random in a smaller box around the best third of all that was tried.

    Args:
        axes: see `box` for what becomes of them.
        n: settings in all, shared out evenly over the rounds.
        seed: of the draws.
        rounds: boxes, the whole one included; two, as practised by hand.

    Source: Ng, "Improving deep neural networks", course 2 of the Deep Learning Specialization (2017), week 3.

    >>> axes = [Axis("lr", "optimizer.lr", "uniform", low=0.0, high=1.0)]
    >>> search = coarse(axes, n=12)
    >>> fine = search.send([trial.setting["lr"] for trial in next(search)])  # the smaller the better
    >>> len(fine), max(trial.setting["lr"] for trial in fine) < 0.6
    (6, True)
    """
    settings: list[dict[str, Any]] = []
    losses: list[float | None] = []
    inside = list(axes)
    for turn in range(rounds):
        size = math.ceil(n * (turn + 1) / rounds) - math.ceil(n * turn / rounds)
        new = draw(inside, size, chance(seed, "coarse", turn), settings)
        if not new:
            return
        losses += yield number(new, len(settings) + 1)
        settings += new
        best = [settings[i] for i in ranked(losses)[: max(1, math.ceil(len(settings) / 3))] if losses[i] is not None]
        inside = [box(axis, [setting[axis.name] for setting in best], len(settings)) for axis in axes]


def box(axis: Axis, values: Sequence[Any], tried: int) -> Axis:
    """The axis around some values: those alternatives, or the range from the least to the greatest.

    The range is wider on either side by half of what lies between two of ``tried`` values that are spread evenly over
    the axis, since the best value may lie as far beyond, but never wider than it was.

    Args:
        axis: it stays as it is where there are no values.
        values: of the best settings.
        tried: how many values were tried.
    """
    if not values:
        return axis
    if axis.values is not None:
        return dataclasses.replace(axis, values=tuple(value for value in axis.values if value in values))
    places, margin = [axis.place(value) for value in values], 0.5 / tried
    low, high = (axis.raw(min(max(p, 0.0), 1.0)) for p in (min(places) - margin, max(places) + margin))
    return dataclasses.replace(axis, low=low, high=high)
