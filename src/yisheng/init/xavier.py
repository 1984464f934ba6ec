"""Xavier initialization, which keeps the variance of signals and gradients."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core.registry import register

Gain = Annotated[float, Interval(gt=0, lt=math.inf)]


@register
def xavier_normal(weight: torch.Tensor, *, gain: Gain = 1.0) -> None:
    """Fill with Xavier's (Glorot's) normal distribution: w ~ N(0, σ²) with σ = gain √(2 / (fan_in + fan_out)).

    Forward the variance is kept by 1/fan_in, backward by 1/fan_out; this is a compromise of the two. Made for
    activations that are the identity near zero (tanh); for relu see `kaiming-normal`.

    Args:
        gain: compensates the activation's effect on the variance: 1 for the identity, 5/3 for tanh, √2 for relu.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010, section 4.2.1.

    >>> _ = torch.manual_seed(0)
    >>> weight = torch.empty(300, 100)
    >>> xavier_normal(weight)
    >>> f"{weight.var() * (300 + 100):.1f}"
    '2.0'
    """
    nn.init.xavier_normal_(weight, gain)


@register
def xavier_uniform(weight: torch.Tensor, *, gain: Gain = 1.0) -> None:
    """Fill with Xavier's (Glorot's) uniform distribution: w ~ U[-a, a] with a = gain √(6 / (fan_in + fan_out)).

    The variance is that of `xavier_normal`, without the normal distribution's tails.

    Args:
        gain: compensates the activation's effect on the variance: 1 for the identity, 5/3 for tanh, √2 for relu.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010, equation 16.

    >>> weight = torch.empty(300, 100)
    >>> xavier_uniform(weight)
    >>> bool(weight.abs().max() <= (6 / 400) ** 0.5)
    True
    """
    nn.init.xavier_uniform_(weight, gain)
