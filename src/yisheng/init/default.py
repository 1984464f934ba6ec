"""torch's default initialization."""

from __future__ import annotations

import torch

from yisheng.core.registry import register


@register
def default(weight: torch.Tensor) -> None:  # all initializations have one signature
    """Keep torch's initialization: uniform in ±1/√fan_in, weights and biases alike.

    For a square layer it has a third of Xavier's variance, which is small but safe for networks of a few layers.

    Source: LeCun et al., "Efficient BackProp", 1998, section 4.6 (the scale 1/√fan_in).

    >>> weight = torch.eye(2)
    >>> default(weight)
    >>> weight
    tensor([[1., 0.],
            [0., 1.]])
    """
