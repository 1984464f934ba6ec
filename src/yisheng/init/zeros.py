"""Zero initialization."""

from __future__ import annotations

import torch
from torch import nn

from yisheng.core.registry import register


@register
def zeros(weight: torch.Tensor) -> None:
    """Fill with zeros: suitable for a network of one layer, whose loss is convex.

    With a hidden layer of zeros no signal reaches the output and no gradient reaches the layers before.

    >>> weight = torch.ones(2, 2)
    >>> zeros(weight)
    >>> weight
    tensor([[0., 0.],
            [0., 0.]])
    """
    nn.init.zeros_(weight)
