"""Xavier initialization, which keeps the variance of signals and gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.tanh import tanh


def _plot(axes: Any) -> None:
    """Draw the signal's size after each of 20 layers of tanh."""
    generator = torch.Generator().manual_seed(0)
    initializations = {
        "Xavier": lambda w: xavier(w, generator=generator, gain=5 / 3),
        "N(0, 0.05²)": lambda w: torch.empty_like(w).normal_(0, 0.05, generator=generator),
    }
    _plots.draw_signal_sizes(axes, initializations, tanh, generator=generator)


@register(
    equation="""uniform:   w ~ U(−a, a),     a = gain √(6 / (fan_in + fan_out))
normal:    w ~ N(0, σ²),     σ = gain √(2 / (fan_in + fan_out))""",
    usual="""
import torch
w = torch.empty(256, 784)
torch.nn.init.xavier_uniform_(w)
""",
    when="""With tanh (gain 5/3), sigmoid, or no activation: forward the variance is kept by 1/fan_in, backward by
1/fan_out, and this is a compromise. With relu, which halves the signal's mean square, use kaiming.""",
    plot=_plot,
)
def xavier(weight: Tensor, *, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Draw Xavier's (Glorot's) weights, uniform: w ~ U(−a, a) with a = gain √(6 / (fan_in + fan_out)).

    Args:
        weight: (O, I, ...), which sets the shape, dtype and device; its numbers are not used.
        gain: compensates the activation's effect on the variance: 1 for the identity, 5/3 for tanh.
        generator: source of the random numbers; torch's global generator by default.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    equation 16.

    >>> bool(xavier(torch.empty(300, 100)).abs().max() <= (6 / 400) ** 0.5)
    True
    """
    a = gain * math.sqrt(6 / sum(compute_fans(weight)))
    return torch.empty_like(weight).uniform_(-a, a, generator=generator)


def xavier_normal(weight: Tensor, *, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Draw weights of the same variance from N(0, σ²) with σ = gain √(2 / (fan_in + fan_out)).

    >>> w = xavier_normal(torch.empty(300, 100), generator=torch.Generator().manual_seed(0))
    >>> f"{w.var() * 400:.1f}"
    '2.0'
    """
    return torch.empty_like(weight).normal_(0, gain * math.sqrt(2 / sum(compute_fans(weight))), generator=generator)


def compute_fans(weight: Tensor) -> tuple[int, int]:
    """Return the number of inputs of a unit, and the number of units that read an input.

    >>> compute_fans(torch.empty(6, 3, 5, 5))
    (75, 150)
    """
    outputs, inputs, *window = weight.shape
    return inputs * math.prod(window), outputs * math.prod(window)
