"""Nothing to begin with."""

from __future__ import annotations

import torch
from torch import nn

from yisheng.core.registry import register


@register
def zeros(weight: torch.Tensor) -> None:
    """Zero: right for a net of one layer, whose loss is convex; deaf in a net with hidden ones.

    With a hidden layer of zeros no signal reaches the output and no gradient comes back.

    >>> weight = torch.ones(2, 2)
    >>> zeros(weight)
    >>> weight
    tensor([[0., 0.],
            [0., 0.]])
    """
    nn.init.zeros_(weight)
