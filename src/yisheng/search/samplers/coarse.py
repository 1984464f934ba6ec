"""Coarse-to-fine search."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Sequence
from typing import Annotated, Any

from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, draw_settings, make_generator, number_trials, rank


@register
def coarse(
    axes: Sequence[Axis], *, n: int, seed: int = 0, rounds: Annotated[int, Interval(ge=2, le=10)] = 2
) -> Generator[list[Trial], list[float | None], None]:
    """Yield random settings of the whole space, then of a smaller box around the best third of all trained settings.

    Args:
        axes: the axes of the whole space; see `shrink_axis` for the box.
        n: total number of settings, distributed evenly over the rounds.
        seed: seed of the draws.
        rounds: number of boxes, including the whole space; two by default, as in the source.

    Source: Ng, "Improving deep neural networks", course 2 of the Deep Learning Specialization (2017), week 3.

    >>> axes = [Axis("lr", "optimizer.lr", "uniform", low=0.0, high=1.0)]
    >>> search = coarse(axes, n=12)
    >>> fine = search.send([trial.setting["lr"] for trial in next(search)])  # the smaller the better
    >>> len(fine), max(trial.setting["lr"] for trial in fine) < 0.6
    (6, True)
    """
    settings: list[dict[str, Any]] = []
    losses: list[float | None] = []
    box = list(axes)
    for number in range(rounds):
        size = math.ceil(n * (number + 1) / rounds) - math.ceil(n * number / rounds)
        drawn = draw_settings(box, size, make_generator(seed, "coarse", number), settings)
        if not drawn:
            return
        losses += yield number_trials(drawn, len(settings) + 1)
        settings += drawn
        best = [settings[i] for i in rank(losses)[: max(1, math.ceil(len(settings) / 3))] if losses[i] is not None]
        box = [shrink_axis(axis, [setting[axis.name] for setting in best], len(settings)) for axis in axes]


def shrink_axis(axis: Axis, values: Sequence[Any], tried: int) -> Axis:
    """Return the part of an axis around some values: those alternatives, or the range from the smallest to the largest.

    With ``tried`` values spaced evenly over the axis, the best value may be half a spacing beyond the range, so the
    range is extended by that on both sides, within the axis.

    Args:
        axis: returned unchanged if there are no values.
        values: values of the best settings.
        tried: number of values that were tried.
    """
    if not values:
        return axis
    if axis.values is not None:
        return dataclasses.replace(axis, values=tuple(value for value in axis.values if value in values))
    positions, margin = [axis.position_of(value) for value in values], 0.5 / tried
    ends = (max(0.0, min(positions) - margin), min(1.0, max(positions) + margin))
    low, high = map(axis.value_at_position, ends)
    return dataclasses.replace(axis, low=low, high=high)
