"""Activations between layers, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import nn

Activation = Literal[
    "relu",
    "leaky-relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "softplus",
    "sigmoid",
    "scaled-sigmoid",
    "tanh",
    "identity",
]


class ScaledSigmoid(nn.Module):
    """4 sigmoid(x) - 2: the sigmoid shifted and scaled to be the identity near zero, as tanh is.

    sigmoid(x) = 1/2 + x/4 - x³/48 + ..., so this is x - x³/12 + ...: it neither shifts nor shrinks small
    signals, and deep networks that do not learn with the plain sigmoid learn with it.

    >>> ScaledSigmoid()(torch.tensor([-0.01, 0.0, 0.01]))
    tensor([-0.0100,  0.0000,  0.0100])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the function element by element to a tensor of any shape."""
        return 4 * torch.sigmoid(x) - 2


ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "scaled-sigmoid": ScaledSigmoid,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
}
