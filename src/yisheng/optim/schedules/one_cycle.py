"""Up and down once, far enough down to settle."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor

Share = Annotated[float, Interval(ge=0, le=1)]


@register
def one_cycle(*, warmup: Share = 0.3, start: Share = 1 / 25, floor: Share = 4e-6) -> Factor:
    """One cycle: half a cosine wave up from the start to 1, another down to the floor.

    The peak is at step P = round(warmup steps) - 1, the floor at the last step; between two ends a and b the
    factor is b + (a - b) (1 + cos(π s)) / 2, with s from 0 to 1.

    Args:
        warmup: share of the run in which the rate rises. With 0.3, fastai's and torch's, a net whose loss
            surface is steep at first can bear a high rate later, and two thirds of the run remain for settling.
        start: factor of the first step; 1/25 is safe for any peak that the net can bear at all.
        floor: factor of the last step; nearly 0 (1/25 of 1/10,000, torch's), so that the weights come to rest.

    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2019, section 3 (there in straight lines; cosines since fastai).

    >>> factor = one_cycle(warmup=0.3)
    >>> [round(factor(step, 11, 5), 3) for step in (0, 1, 2, 6, 10)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """

    def factor(step: int, steps: int, per_epoch: int) -> float:  # noqa: ARG001  # every factor is called alike
        last = steps - 1
        peak = min(max(round(warmup * steps) - 1, 0), last)
        if step < peak:
            return _wave(start, 1.0, step / peak)
        return _wave(1.0, floor, min(1.0, (step - peak) / (last - peak))) if step > peak and last > peak else 1.0

    return factor


def _wave(begin: float, end: float, s: float) -> float:
    """Half a cosine wave from ``begin`` (s = 0) to ``end`` (s = 1)."""
    return end + (begin - end) * (1.0 + math.cos(math.pi * s)) / 2.0
