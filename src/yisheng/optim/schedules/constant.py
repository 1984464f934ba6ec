"""No schedule."""

from __future__ import annotations

from yisheng.core.registry import register
from yisheng.optim.schedules import Factor


@register
def constant() -> Factor:
    """Constant: 1 throughout.

    >>> constant()(7, 100, 10)
    1.0
    """
    return lambda step, steps, per_epoch: 1.0  # noqa: ARG005  # every factor is called alike
