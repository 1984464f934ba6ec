"""Momentum and a pace of its own for each weight, both corrected for their start."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _bowl
from yisheng.scratch.momentum import momentum
from yisheng.scratch.rmsprop import rmsprop
from yisheng.scratch.sgd import sgd


def _plot(axes: Any) -> None:
    """Four ways down a narrow bowl."""
    _bowl.draw(axes, sgd, steps=25, label="sgd", colour=_bowl.COLOURS[0], lr=0.4)
    _bowl.draw(axes, momentum, 1, steps=25, label="momentum", colour=_bowl.COLOURS[1], lr=0.15, momentum=0.6)
    _bowl.draw(axes, rmsprop, 1, steps=25, label="rmsprop", colour=_bowl.COLOURS[2], lr=0.4)
    _bowl.draw(axes, adam, 2, steps=25, label="adam", colour=_bowl.COLOURS[3], lr=0.4)


@register(
    memories=2,
    equation="""g' = g + λ w
m ← β₁ m + (1 − β₁) g'          v ← β₂ v + (1 − β₂) g'²
m̂ = m / (1 − β₁ᵗ)               v̂ = v / (1 − β₂ᵗ)
w ← w − lr m̂ / (√v̂ + eps)""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.Adam([w], lr=0.001)
""",
    when="""Where a good result is wanted without much search: lr=0.001 is seldom far off. On images well-tuned
momentum often ends a little better; where weight decay matters take AdamW.""",
    plot=_plot,
)
def adam(
    w: Tensor,
    g: Tensor,
    memory: tuple[Tensor, Tensor],
    t: int | Tensor,
    *,
    lr: float | Tensor = 0.001,
    betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
    eps: float | Tensor = 1e-8,
    weight_decay: float | Tensor = 0.0,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Adam: momentum, divided by the recent size of the gradient, both corrected for having begun at zero.

    With g' = g + λ w: m <- β1 m + (1 - β1) g';  v <- β2 v + (1 - β2) g'²;
    w <- w - lr m̂ / (√v̂ + eps), m̂ = m / (1 - β1^t), v̂ = v / (1 - β2^t).

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        memory: the running means m and v, of the same shape; zeros at first.
        t: number of the update, from 1; as a tensor in the dtype of w.
        lr: learning rate, in units of the weights, or a tensor of them that broadcasts against w, such as (K, 1)
            for K models; 0.001 is the paper's.
        betas: what is kept of the two means from step to step, likewise; the paper's look back over 10 and 1000
            steps.
        eps: keeps the quotient finite where gradients vanish, likewise.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss, likewise. It is divided by √v̂ like the
            gradient, so it hardly touches weights with large gradients; `adamw` mends that.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    >>> import torch
    >>> memory = (torch.zeros(1), torch.zeros(1))
    >>> w, memory = adam(torch.tensor([2.0]), torch.tensor([1000.0]), memory, 1, lr=0.1)
    >>> w  # the first step is lr long, whatever the gradient
    tensor([1.9000])
    """
    m, v = memory
    beta1, beta2 = betas
    g = g + weight_decay * w
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    size = v.sqrt() / (1 - beta2**t) ** 0.5 + eps
    return w - lr / (1 - beta1**t) * m / size, (m, v)
