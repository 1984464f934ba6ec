"""Cosine schedule with warm-up."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor


@register
def cosine(
    *,
    warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
    floor: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> Factor:
    """Increase linearly to 1 (warm-up), then decrease to the floor along half a cosine wave.

    With W = floor(warmup steps): (t + 1) / (W + 1) for t <= W, then
    floor + (1 - floor) (1 + cos(π (t - W) / (steps - W))) / 2.

    Args:
        warmup: fraction of the run in which the rate rises; a twentieth lets running means (Adam's, batch norm's)
            converge before the steps are large. 0 starts at the peak.
        floor: the factor at the end of the run.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5;
    Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.2 (warm-up).

    >>> factor = cosine(warmup=0.2)
    >>> [round(factor(step, 10, 5), 3) for step in (0, 1, 2, 6, 10)]
    [0.333, 0.667, 1.0, 0.5, 0.0]
    """

    def factor(step: int, steps: int, per_epoch: int) -> float:  # noqa: ARG001  # all factors have one signature
        peak = min(int(warmup * steps), steps - 1)
        if step <= peak:
            return (step + 1) / (peak + 1)
        progress = min(1.0, (step - peak) / (steps - peak))
        return floor + (1.0 - floor) * (1.0 + math.cos(math.pi * progress)) / 2.0

    return factor
