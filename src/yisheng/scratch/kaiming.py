"""First weights that keep the variance through rectifiers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _depth
from yisheng.scratch.relu import relu
from yisheng.scratch.xavier import fans, xavier


def _plot(axes: Any) -> None:
    """How large the signal still is after each of 20 layers of relu."""
    draw = torch.Generator().manual_seed(0)
    weights = {"Kaiming": lambda w: kaiming(w, generator=draw), "Xavier": lambda w: xavier(w, generator=draw)}
    _depth.draw(axes, weights, relu, draw=draw)


@register(
    equation="""uniform:   w ~ U(−a, a),     a = √(6 / fan_in)
normal:    w ~ N(0, σ²),     σ = √(2 / fan_in)""",
    usual="""
import torch
w = torch.empty(256, 784)
torch.nn.init.kaiming_uniform_(w, nonlinearity="relu")
""",
    when="""With relu and its kin: a relu throws away half of the signal's energy, and the 2 puts it back, so that
depth does not matter. With tanh or no activation take xavier.""",
    plot=_plot,
)
def kaiming(weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Kaiming's (He's) weights for relu, uniform: w ~ U(−a, a) with a = √(6 / fan_in).

    Args:
        weight: (O, I, ...) of the shape, dtype and device that are wanted; its numbers are not read.
        generator: where the chance comes from; torch's global one by default.

    Source: He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> bool(kaiming(torch.empty(100, 300)).abs().max() <= (6 / 300) ** 0.5)
    True
    """
    a = math.sqrt(6 / fans(weight)[0])
    return torch.empty_like(weight).uniform_(-a, a, generator=generator)


def kaiming_normal(weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """The same variance, drawn from N(0, σ²) with σ = √(2 / fan_in).

    >>> w = kaiming_normal(torch.empty(100, 300), generator=torch.Generator().manual_seed(0))
    >>> f"{w.var() * 300:.1f}"
    '2.0'
    """
    return torch.empty_like(weight).normal_(0, math.sqrt(2 / fans(weight)[0]), generator=generator)
