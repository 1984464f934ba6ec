"""Down a staircase."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor


@register
def step(*, every: Annotated[int, Ge(1)] = 10, factor: Annotated[float, Interval(gt=0, le=1)] = 0.1) -> Factor:
    """Step decay: factor^floor(e / every) in epoch e, counted from 0.

    Args:
        every: epochs on each stair; 10 makes three stairs of 30 epochs.
        factor: what a stair multiplies the rate by; tenths are customary.

    Source: He et al., "Deep residual learning for image recognition", 2016, section 3.4.

    >>> fall = step(every=2, factor=0.5)
    >>> [fall(n, 40, 10) for n in (0, 19, 20, 40)]
    [1.0, 1.0, 0.5, 0.25]
    """
    return lambda step, steps, per_epoch: float(factor ** (step // per_epoch // every))  # noqa: ARG005
