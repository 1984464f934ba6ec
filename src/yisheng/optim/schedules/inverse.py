"""Inverse decay."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor


@register
def inverse(*, k: Annotated[float, Interval(ge=0, lt=math.inf)] = 1.0) -> Factor:
    """Decay inversely: 1 / (1 + k e) in epoch e, counted from 0.

    Slow enough that the sum of the rates is infinite (every optimum can be reached), fast enough that the noise of
    the steps vanishes.

    Args:
        k: decay per epoch; with 1 the rates are lr, lr/2, lr/3, ...

    Source: Robbins and Monro, "A stochastic approximation method", 1951 (why 1/t).

    >>> factor = inverse(k=1)
    >>> [factor(step, 30, 10) for step in (0, 9, 10, 30)]
    [1.0, 1.0, 0.5, 0.25]
    """
    return lambda step, steps, per_epoch: 1.0 / (1.0 + k * (step // per_epoch))  # noqa: ARG005
