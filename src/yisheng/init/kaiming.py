"""Variance kept through rectifiers."""

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
"""As torch spells them."""
SLOPE = 0.01
"""Of the leaky relu below zero, as the models have it."""


@register
def kaiming_normal(weight: torch.Tensor, *, nonlinearity: Nonlinearity = "relu", mode: Mode = "fan-in") -> None:
    """Kaiming (He), normal: w ~ N(0, σ²) with σ = gain / √fan, gain = √2 for relu.

    A relu throws away half of the signal's energy; the 2 puts it back, so that depth does not matter.

    Args:
        nonlinearity: the activation that follows, which sets the gain: relu √2, tanh 5/3, selu 3/4, linear
            and sigmoid 1.
        mode: fan-in keeps the variance of the signals, fan-out that of the gradients; either is enough.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> _ = torch.manual_seed(0)
    >>> weight = torch.empty(100, 300)
    >>> kaiming_normal(weight)
    >>> f"{weight.var() * 300:.1f}"
    '2.0'
    """
    nn.init.kaiming_normal_(weight, SLOPE, MODES[mode], NONLINEARITIES[nonlinearity])


@register
def kaiming_uniform(weight: torch.Tensor, *, nonlinearity: Nonlinearity = "relu", mode: Mode = "fan-in") -> None:
    """Kaiming (He), uniform: w ~ U[-a, a] with a = gain √(3 / fan), gain = √2 for relu.

    The variance is that of `kaiming_normal`, without its tails.

    Args:
        nonlinearity: the activation that follows, which sets the gain: relu √2, tanh 5/3, selu 3/4, linear
            and sigmoid 1.
        mode: fan-in keeps the variance of the signals, fan-out that of the gradients; either is enough.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> weight = torch.empty(100, 300)
    >>> kaiming_uniform(weight)
    >>> bool(weight.abs().max() <= (6 / 300) ** 0.5)
    True
    """
    nn.init.kaiming_uniform_(weight, SLOPE, MODES[mode], NONLINEARITIES[nonlinearity])
