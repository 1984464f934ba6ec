"""What torch does by itself."""

from __future__ import annotations

import torch

from yisheng.core.registry import register


@register
def default(weight: torch.Tensor) -> None:  # every initialiser is called alike
    """Leave torch's own: uniform in ±1/√fan_in, weights and biases alike.

    A third of Xavier's variance for a square layer, which is meek but safe for nets of a few layers.

    Source: LeCun et al., "Efficient BackProp", 1998, section 4.6 (the scale 1/√fan_in).

    >>> weight = torch.eye(2)
    >>> default(weight)
    >>> weight
    tensor([[1., 0.],
            [0., 1.]])
    """
