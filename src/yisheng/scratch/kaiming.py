"""Kaiming initialization, which keeps the variance through relus."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.relu import relu
from yisheng.scratch.xavier import compute_fans, xavier


def _plot(axes: Any) -> None:
    """Draw the signal's size after each of 20 layers of relu."""
    generator = torch.Generator().manual_seed(0)
    initializations = {
        "Kaiming": lambda w: kaiming(w, generator=generator),
        "Xavier": lambda w: xavier(w, generator=generator),
    }
    _plots.draw_signal_sizes(axes, initializations, relu, generator=generator)


@register(
    equation="""uniform:   w ~ U(−a, a),     a = √(6 / fan_in)
normal:    w ~ N(0, σ²),     σ = √(2 / fan_in)""",
    usual="""
import torch
w = torch.empty(256, 784)
torch.nn.init.kaiming_uniform_(w, nonlinearity="relu")
""",
    when="""With relu and similar activations: a relu halves the signal's mean square, and the 2 compensates this at
any depth. With tanh or no activation use xavier.""",
    plot=_plot,
)
def kaiming(weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw Kaiming's (He's) weights for relu, uniform: w ~ U(−a, a) with a = √(6 / fan_in).

    Args:
        weight: (O, I, ...), which sets the shape, dtype and device; its numbers are not used.
        generator: source of the random numbers; torch's global generator by default.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> bool(kaiming(torch.empty(100, 300)).abs().max() <= (6 / 300) ** 0.5)
    True
    """
    a = math.sqrt(6 / compute_fans(weight)[0])
    return torch.empty_like(weight).uniform_(-a, a, generator=generator)


def kaiming_normal(weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw weights of the same variance from N(0, σ²) with σ = √(2 / fan_in).

    >>> w = kaiming_normal(torch.empty(100, 300), generator=torch.Generator().manual_seed(0))
    >>> f"{w.var() * 300:.1f}"
    '2.0'
    """
    return torch.empty_like(weight).normal_(0, math.sqrt(2 / compute_fans(weight)[0]), generator=generator)
