"""Constant initialization."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core.registry import register


@register
def constant(weight: torch.Tensor, *, value: Annotated[float, Interval(gt=-math.inf, lt=math.inf)] = 0.01) -> None:
    """Fill every weight with the same number.

    All units of a hidden layer then compute the same, get the same gradient, and stay equal: the layer acts as one
    unit. It demonstrates the symmetry, and is useful for networks without a hidden layer.

    Args:
        value: of every weight; 0.01 is the size of the weights that `normal` draws.

    Source: Zhang et al., "Dive into Deep Learning", section 5.4 (breaking the symmetry).

    >>> weight = torch.empty(2, 2)
    >>> constant(weight, value=0.5)
    >>> weight
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    nn.init.constant_(weight, value)
