"""Uniform initialization."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register

Finite = Annotated[float, Interval(gt=-math.inf, lt=math.inf)]


@register
def uniform(weight: torch.Tensor, *, low: Finite = -0.05, high: Finite = 0.05) -> None:
    """Fill with a uniform distribution that does not depend on the layer's size: w ~ U[low, high).

    Args:
        low: smallest weight; the default interval is symmetric about zero, to prefer neither sign.
        high: upper bound of the weights; 0.05 makes a standard deviation of 0.05/√3 = 0.029.

    Raises:
        UsageError: low is above high.

    >>> weight = torch.empty(4, 4)
    >>> uniform(weight, low=2.0, high=3.0)
    >>> bool((weight >= 2).all() and (weight <= 3).all())
    True
    """
    if low > high:
        raise UsageError(
            Message("init=uniform needs low to be at most high, got {low} and {high}", low=low, high=high),
            Message("swap low and high"),
        )
    nn.init.uniform_(weight, low, high)
