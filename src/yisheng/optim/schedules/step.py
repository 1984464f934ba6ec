"""Step decay."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor


@register
def step(*, step_size: Annotated[int, Ge(1)] = 10, factor: Annotated[float, Interval(gt=0, le=1)] = 0.1) -> Factor:
    """Decay in steps: factor^floor(e / step_size) in epoch e, counted from 0.

    Args:
        step_size: epochs of each step; 10 makes three steps of 30 epochs.
        factor: what each step multiplies the rate by; a tenth is usual.

    Source: He et al., "Deep residual learning for image recognition", 2016, section 3.4.

    >>> factor = step(step_size=2, factor=0.5)
    >>> [factor(n, 40, 10) for n in (0, 19, 20, 40)]
    [1.0, 1.0, 0.5, 0.25]
    """
    return lambda step, steps, per_epoch: float(factor ** (step // per_epoch // step_size))  # noqa: ARG005
