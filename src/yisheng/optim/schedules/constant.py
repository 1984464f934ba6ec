"""Constant learning rate."""

from __future__ import annotations

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor


@register
def constant() -> Factor:
    """Keep the factor at 1.

    >>> constant()(7, 100, 10)
    1.0
    """
    return lambda step, steps, per_epoch: 1.0  # noqa: ARG005  # all factors have one signature
