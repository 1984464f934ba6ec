"""Successive halving."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Annotated

from annotated_types import Ge, Interval

from yisheng.core.registry import register
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, draw_settings, make_generator, number_trials, rank


@register
def halving(
    axes: Sequence[Axis],
    *,
    n: int,
    seed: int = 0,
    epochs: Annotated[int, Ge(1)],
    eta: Annotated[int, Interval(ge=2, le=100)] = 3,
    min_epochs: Annotated[int, Ge(1)] = 1,
) -> Generator[list[Trial], list[float | None], None]:
    """Yield many settings for few epochs, then the best 1/``eta`` of them for ``eta`` times as many epochs, and so on.

    Rung r of R trains ``n / eta^r`` settings for ``epochs / eta^(R - 1 - r)`` epochs, so every rung costs about the
    same. Each setting is trained from the start, so that the schedule of a short training is complete, too. Scores of
    different rungs cannot be compared; only those of the last rung count.

    Args:
        axes: drawn as in ``random``.
        n: number of settings of the first rung.
        seed: seed of the draws.
        epochs: number of epochs of the last rung.
        eta: factor between rungs; the paper's analysis of the cost favors 3.
        min_epochs: number of epochs of the first rung at least.

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
    settings = draw_settings(axes, n, make_generator(seed, "halving"))
    rungs = 1 + min(_log(len(settings), eta), _log(max(1, epochs // min_epochs), eta))
    next_number = 1
    for rung in range(rungs):
        rung_epochs = max(1, epochs // eta ** (rungs - 1 - rung))
        losses = yield number_trials(settings, next_number, rung_epochs)
        next_number += len(settings)
        finite = [i for i in rank(losses) if losses[i] is not None]
        settings = [settings[i] for i in finite[: max(1, len(settings) // eta)]]
        if not settings:
            return


def _log(value: int, base: int) -> int:
    """Return the largest integer p with base^p <= value."""
    power = int(math.log(value, base)) + 1
    while base**power > value:
        power -= 1
    return power
