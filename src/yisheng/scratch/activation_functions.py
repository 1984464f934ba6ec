"""Activation functions, all in one image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.relu import relu
from yisheng.scratch.sigmoid import sigmoid
from yisheng.scratch.tanh import tanh

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "leaky-relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "elu": lambda x: torch.where(x > 0, x, x.clamp(max=0).exp() - 1),
    "softplus": lambda x: x.clamp(min=0) + (1 + (-x.abs()).exp()).log(),
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * sigmoid(x),
}


def _plot(axes: Any) -> None:
    x = torch.linspace(-4, 4, 321)
    for name, y in activation_functions(x).items():
        axes.plot(x, y, label=name)
    axes.set(xlabel="x", ylim=(-1.2, 4))
    axes.legend(fontsize=8)


@register(
    equation="""sigmoid  1 / (1 + exp(−x))          tanh        (1 − exp(−2x)) / (1 + exp(−2x))
relu     max(x, 0)                  leaky-relu  x if x > 0, else 0.01 x
elu      x if x > 0, else exp(x) − 1   softplus    log(1 + exp(x))
gelu     x Φ(x), Φ the normal distribution   silu (swish)  x sigmoid(x)""",
    usual="""
import torch
x = torch.randn(32, 10)
y = torch.nn.functional.gelu(x)
""",
    when="""relu for convolutional and plain networks; gelu or silu in deep ones, where their smooth bend helps a bit;
sigmoid and tanh only at outputs and gates, since their slopes vanish far from 0. Without any, a deep network is a
linear one.""",
    plot=_plot,
)
def activation_functions(x: Tensor) -> dict[str, Tensor]:
    """Compute every activation function of each number, by name.

    Args:
        x: of any shape.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016; Clevert, Unterthiner and Hochreiter, "Fast and
    accurate deep network learning by exponential linear units", 2016; Zhang et al., "Dive into deep learning", 2023,
    section 5.1.2.

    >>> values = activation_functions(torch.tensor([-1.0, 0.0, 2.0]))
    >>> values["leaky-relu"], values["softplus"]
    (tensor([-0.0100,  0.0000,  2.0000]), tensor([0.3133, 0.6931, 2.1269]))
    """
    return {name: activation(x) for name, activation in ACTIVATIONS.items()}
