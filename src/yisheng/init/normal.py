"""Normal initialization."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core.registry import register


@register
def normal(
    weight: torch.Tensor,
    *,
    mean: Annotated[float, Interval(gt=-math.inf, lt=math.inf)] = 0.0,
    std: Annotated[float, Interval(ge=0, lt=math.inf)] = 0.01,
) -> None:
    """Fill with a normal distribution that does not depend on the layer's size: w ~ N(mean, std²).

    Args:
        mean: of the weights; 0 prefers neither sign.
        std: standard deviation of the weights; 0.01 is the textbook's, suitable for one hidden layer: in deeper
            networks signals and gradients vanish (see `xavier-normal` and `kaiming-normal`).

    Source: Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 5.

    >>> _ = torch.manual_seed(0)
    >>> weight = torch.empty(100, 100)
    >>> normal(weight, std=0.5)
    >>> f"{weight.std():.2f}"
    '0.50'
    """
    nn.init.normal_(weight, mean, std)
