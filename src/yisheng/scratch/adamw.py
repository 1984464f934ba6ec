"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.adam import adam


def _plot(axes: Any) -> None:
    """Draw the mean weight under noisy gradients of mean zero, with and without decoupled decay."""
    for (optimizer, label), color in zip(((adam, "adam"), (adamw, "adamw")), _plots.COLORS, strict=False):
        for noise, line in ((0.1, "-"), (10.0, "--")):
            generator = torch.Generator().manual_seed(0)
            w, state, path = torch.ones(50), (torch.zeros(50), torch.zeros(50)), []
            for t in range(1, 301):
                g = noise * torch.randn(50, generator=generator)
                w, state = optimizer(w, g, state, t, lr=1e-3, weight_decay=1.0)
                path.append(w.mean().item())
            axes.plot(path, line, color=color, label=f"{label}, gradient noise {noise}")
    axes.set(xlabel="update", ylabel="mean weight", title="λ = 1: AdamW's decay is the same for all weights")
    axes.legend()


@register(
    state_tensors=2,
    equation="""m ← β₁ m + (1 − β₁) g           v ← β₂ v + (1 − β₂) g²
m̂ = m / (1 − β₁ᵗ)               v̂ = v / (1 − β₂ᵗ)
w ← (1 − lr λ) w − lr m̂ / (√v̂ + eps)""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.AdamW([w], lr=0.001, weight_decay=0.01)
""",
    when="""Instead of Adam if weights should decay: its decay shrinks every weight by the same fraction. The standard
for tables, transformers and fine-tuning; its λ has another meaning than SGD's λ, so values cannot be transferred.""",
    plot=_plot,
)
def adamw(
    w: Tensor,
    g: Tensor,
    state: tuple[Tensor, Tensor],
    t: int | Tensor,
    *,
    lr: float | Tensor = 0.001,
    betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
    eps: float | Tensor = 1e-8,
    weight_decay: float | Tensor = 0.01,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Update by AdamW: Adam whose weight decay is subtracted from the weights, not added to the gradient.

    w <- (1 - lr λ) w - lr m̂ / (√v̂ + eps), with m̂ and v̂ as in `adam`, of g alone.

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        state: the running means m and v, of the same shape; zeros at first.
        t: number of the update, from 1; as a tensor in the dtype of w.
        lr: learning rate, in units of the weights, or a tensor that broadcasts against w, such as (K, 1) for K models;
            0.001 is Adam's.
        betas: fractions of the two means that a step keeps, likewise; Adam's average over about 10 and 1000 steps.
        eps: keeps the quotient finite if gradients vanish, likewise.
        weight_decay: λ, relative to lr, likewise: a weight without gradients shrinks by lr λ in each step;
            0.01 is torch's, the useful range is wide.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.

    >>> state = (torch.zeros(1), torch.zeros(1))
    >>> adamw(torch.tensor([2.0]), torch.zeros(1), state, 1, lr=0.1, weight_decay=0.5)[0]  # 2 (1 - 0.1 * 0.5)
    tensor([1.9000])
    """
    return adam((1 - lr * weight_decay) * w, g, state, t, lr=lr, betas=betas, eps=eps, weight_decay=0.0)
