"""Exponential decay."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor


@register
def exponential(*, rate: Annotated[float, Interval(gt=0, le=1)] = 0.95) -> Factor:
    """Decay exponentially: rate^e in epoch e, counted from 0.

    Args:
        rate: what an epoch multiplies the learning rate by; 0.95 leaves 60% after 10 epochs and 8% after 50.

    >>> factor = exponential(rate=0.5)
    >>> [factor(step, 30, 10) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """
    return lambda step, steps, per_epoch: float(rate ** (step // per_epoch))  # noqa: ARG005
