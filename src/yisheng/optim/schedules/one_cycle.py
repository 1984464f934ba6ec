"""One-cycle schedule."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor

Fraction = Annotated[float, Interval(ge=0, le=1)]


@register
def one_cycle(*, warmup: Fraction = 0.3, start: Fraction = 1 / 25, floor: Fraction = 4e-6) -> Factor:
    """Increase from the start to 1 along half a cosine wave, then decrease to the floor along another.

    The peak is at step P = round(warmup steps) - 1, the floor at the last step; between two ends a and b the
    factor is b + (a - b) (1 + cos(π s)) / 2, with s from 0 to 1.

    Args:
        warmup: fraction of the run in which the rate rises. With 0.3, fastai's and torch's, a network whose loss
            surface is steep at first can use a high rate later, and two thirds of the run remain for convergence.
        start: factor of the first step; with 1/25 training starts stably at every usable peak.
        floor: factor of the last step; nearly 0 (1/25 of 1/10,000, torch's), so that the weights converge.

    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2019, section 3 (there in straight lines; cosines since fastai).

    >>> factor = one_cycle(warmup=0.3)
    >>> [round(factor(step, 11, 5), 3) for step in (0, 1, 2, 6, 10)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """

    def factor(step: int, steps: int, per_epoch: int) -> float:  # noqa: ARG001  # all factors have one signature
        last = steps - 1
        peak = min(max(round(warmup * steps) - 1, 0), last)
        if step < peak:
            return _cosine_wave(start, 1.0, step / peak)
        return _cosine_wave(1.0, floor, min(1.0, (step - peak) / (last - peak))) if step > peak and last > peak else 1.0

    return factor


def _cosine_wave(start: float, end: float, s: float) -> float:
    """Return the height of half a cosine wave from ``start`` (s = 0) to ``end`` (s = 1)."""
    return end + (start - end) * (1.0 + math.cos(math.pi * s)) / 2.0
