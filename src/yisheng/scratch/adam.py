"""Adam: momentum with a step size for each weight."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.momentum import momentum
from yisheng.scratch.rmsprop import rmsprop
from yisheng.scratch.sgd import sgd


def _plot(axes: Any) -> None:
    """Draw the paths of four optimizers in a narrow valley."""
    _plots.draw_path(axes, sgd, steps=25, label="sgd", color=_plots.COLORS[0], lr=0.4)
    _plots.draw_path(axes, momentum, 1, steps=25, label="momentum", color=_plots.COLORS[1], lr=0.15, momentum=0.6)
    _plots.draw_path(axes, rmsprop, 1, steps=25, label="rmsprop", color=_plots.COLORS[2], lr=0.4)
    _plots.draw_path(axes, adam, 2, steps=25, label="adam", color=_plots.COLORS[3], lr=0.4)


@register(
    state_tensors=2,
    equation="""g' = g + λ w
m ← β₁ m + (1 − β₁) g'          v ← β₂ v + (1 − β₂) g'²
m̂ = m / (1 − β₁ᵗ)               v̂ = v / (1 − β₂ᵗ)
w ← w − lr m̂ / (√v̂ + eps)""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.Adam([w], lr=0.001)
""",
    when="""For a good result without much search: lr=0.001 suits most networks. On images well-tuned momentum is
often slightly better; if weight decay matters, use AdamW.""",
    plot=_plot,
)
def adam(
    w: Tensor,
    g: Tensor,
    state: tuple[Tensor, Tensor],
    t: int | Tensor,
    *,
    lr: float | Tensor = 0.001,
    betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
    eps: float | Tensor = 1e-8,
    weight_decay: float | Tensor = 0.0,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Update by Adam: momentum divided by the recent size of the gradient, both corrected for their start at zero.

    With g' = g + λ w: m <- β1 m + (1 - β1) g';  v <- β2 v + (1 - β2) g'²;
    w <- w - lr m̂ / (√v̂ + eps), m̂ = m / (1 - β1^t), v̂ = v / (1 - β2^t).

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        state: the running means m and v, of the same shape; zeros at first.
        t: number of the update, from 1; as a tensor in the dtype of w.
        lr: learning rate, in units of the weights, or a tensor that broadcasts against w, such as (K, 1) for K models;
            0.001 is the paper's.
        betas: fractions of the two means that a step keeps, likewise; the paper's average over about 10 and 1000
            steps.
        eps: keeps the quotient finite if gradients vanish, likewise.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss, likewise. It is divided by √v̂ like the
            gradient, so it hardly affects weights with large gradients; `adamw` avoids that.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    >>> import torch
    >>> state = (torch.zeros(1), torch.zeros(1))
    >>> w, state = adam(torch.tensor([2.0]), torch.tensor([1000.0]), state, 1, lr=0.1)
    >>> w  # the first step is lr long, whatever the gradient
    tensor([1.9000])
    """
    m, v = state
    beta1, beta2 = betas
    g = g + weight_decay * w
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    size = v.sqrt() / (1 - beta2**t) ** 0.5 + eps
    return w - lr / (1 - beta1**t) * m / size, (m, v)
