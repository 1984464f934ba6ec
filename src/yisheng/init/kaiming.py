"""Kaiming initialization, which keeps the variance through relus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from yisheng.core.registry import register

Mode = Literal["fan-in", "fan-out"]
Nonlinearity = Literal["relu", "leaky-relu", "tanh", "sigmoid", "selu", "linear"]
MODES: Mapping[Mode, Literal["fan_in", "fan_out"]] = {"fan-in": "fan_in", "fan-out": "fan_out"}
NONLINEARITIES: Mapping[Nonlinearity, Literal["relu", "leaky_relu", "tanh", "sigmoid", "selu", "linear"]] = {
    "relu": "relu",
    "leaky-relu": "leaky_relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "selu": "selu",
    "linear": "linear",
}
"""torch's spellings."""
NEGATIVE_SLOPE = 0.01
"""Slope of the leaky relu below zero, as in the models."""


@register
def kaiming_normal(weight: torch.Tensor, *, nonlinearity: Nonlinearity = "relu", mode: Mode = "fan-in") -> None:
    """Fill with Kaiming's (He's) normal distribution: w ~ N(0, σ²) with σ = gain / √fan, gain = √2 for relu.

    A relu halves the signal's mean square; the 2 compensates this, so that the signal keeps its size at any depth.

    Args:
        nonlinearity: the activation that follows, which sets the gain: relu √2, tanh 5/3, selu 3/4, linear
            and sigmoid 1.
        mode: fan-in keeps the variance of the signals, fan-out that of the gradients; one of them is enough.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> _ = torch.manual_seed(0)
    >>> weight = torch.empty(100, 300)
    >>> kaiming_normal(weight)
    >>> f"{weight.var() * 300:.1f}"
    '2.0'
    """
    nn.init.kaiming_normal_(weight, NEGATIVE_SLOPE, MODES[mode], NONLINEARITIES[nonlinearity])


@register
def kaiming_uniform(weight: torch.Tensor, *, nonlinearity: Nonlinearity = "relu", mode: Mode = "fan-in") -> None:
    """Fill with Kaiming's (He's) uniform distribution: w ~ U[-a, a] with a = gain √(3 / fan), gain = √2 for relu.

    The variance is that of `kaiming_normal`, without the normal distribution's tails.

    Args:
        nonlinearity: the activation that follows, which sets the gain: relu √2, tanh 5/3, selu 3/4, linear
            and sigmoid 1.
        mode: fan-in keeps the variance of the signals, fan-out that of the gradients; one of them is enough.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> weight = torch.empty(100, 300)
    >>> kaiming_uniform(weight)
    >>> bool(weight.abs().max() <= (6 / 300) ** 0.5)
    True
    """
    nn.init.kaiming_uniform_(weight, NEGATIVE_SLOPE, MODES[mode], NONLINEARITIES[nonlinearity])
