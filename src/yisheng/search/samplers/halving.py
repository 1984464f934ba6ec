"""Successive halving."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Annotated

from annotated_types import Ge, Interval

from yisheng.core.registry import register
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, chance, draw, number, ranked


@register
def halving(
    axes: Sequence[Axis],
    *,
    n: int,
    seed: int = 0,
    epochs: Annotated[int, Ge(1)],
    eta: Annotated[int, Interval(ge=2, le=100)] = 3,
    least: Annotated[int, Ge(1)] = 1,
) -> Generator[list[Trial], list[float | None], None]:
    """Many settings for few epochs; the best of every ``eta`` go on with ``eta`` times as many, up to all epochs.

    Rung r of R trains ``n / eta^r`` settings for ``epochs / eta^(R - 1 - r)`` epochs, so every rung costs about the
    same. Each is trained from the beginning: the schedule of a short training comes to its end, as that of a long one.
    Scores of different rungs cannot be compared; what counts are those of the last.

    Args:
        axes: drawn from as in ``random``.
        n: settings of the first rung.
        seed: of the draw.
        epochs: of the last rung.
        eta: what a rung divides the settings by; 3 is what the paper's analysis of the cost favours.
        least: epochs of a rung at least.

    Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
        AISTATS 2016.

    >>> axes = [Axis("lr", "optimizer.lr", "log", low=0.001, high=1.0)]
    >>> search = halving(axes, n=9, epochs=9)
    >>> rung, sizes = next(search), []
    >>> try:
    ...     while True:
    ...         sizes.append((len(rung), rung[0].epochs))
    ...         rung = search.send([trial.setting["lr"] for trial in rung])
    ... except StopIteration:
    ...     print(sizes)
    [(9, 1), (3, 3), (1, 9)]
    """
    settings = draw(axes, n, chance(seed, "halving"))
    rungs = 1 + min(_log(len(settings), eta), _log(max(1, epochs // least), eta))
    first = 1
    for rung in range(rungs):
        spent = max(1, epochs // eta ** (rungs - 1 - rung))
        losses = yield number(settings, first, spent)
        first += len(settings)
        alive = [i for i in ranked(losses) if losses[i] is not None]
        settings = [settings[i] for i in alive[: max(1, len(settings) // eta)]]
        if not settings:
            return


def _log(value: int, base: int) -> int:
    """The largest whole p with base^p <= value."""
    power = int(math.log(value, base)) + 1
    while base**power > value:
        power -= 1
    return power
