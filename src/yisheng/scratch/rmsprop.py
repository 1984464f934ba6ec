"""RMSprop: a step size for each weight."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.sgd import sgd


def _plot(axes: Any) -> None:
    """Draw its path in a narrow valley: its steps are as long along the valley as across it."""
    _plots.draw_path(axes, sgd, steps=20, label="sgd", color=_plots.COLORS[0], lr=0.4)
    _plots.draw_path(axes, rmsprop, 1, steps=20, label="rmsprop", color=_plots.COLORS[1], lr=0.4)


@register(
    state_tensors=1,
    equation="""g' = g + λ w
s ← alpha s + (1 − alpha) g'²
w ← w − lr g' / (√s + eps)""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.RMSprop([w], lr=0.001, alpha=0.9)
""",
    when="""If gradients differ in size between weights: recurrent networks, inputs of different scales. Adam does the
same with momentum and a corrected start; use RMSprop if momentum is harmful. The default alpha of torch is 0.99.""",
    plot=_plot,
)
def rmsprop(
    w: Tensor,
    g: Tensor,
    state: tuple[Tensor],
    t: int | Tensor,  # noqa: ARG001  # all optimizers have one signature
    *,
    lr: float | Tensor = 0.001,
    alpha: float | Tensor = 0.9,
    eps: float | Tensor = 1e-8,
    weight_decay: float | Tensor = 0.0,
) -> tuple[Tensor, tuple[Tensor]]:
    """Update each weight by its gradient divided by the gradient's recent size.

    g' = g + λ w;  s <- alpha s + (1 - alpha) g'²;  w <- w - lr g' / (√s + eps)

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        state: the mean square s, of the same shape; zeros at first.
        t: number of the update, from 1; not used.
        lr: learning rate, in units of the weights, or a tensor that broadcasts against w, such as (K, 1) for K models.
        alpha: fraction of the mean square that a step keeps, likewise; 0.9, the lecture's, averages over about 10
            steps.
        eps: keeps the quotient finite if gradients vanish, likewise.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss (scaled with the gradient), likewise.

    Source: Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012, Coursera.

    >>> import torch
    >>> g = torch.tensor([1000.0])
    >>> rmsprop(torch.tensor([2.0]), g, (torch.zeros(1),), 1, lr=0.1, alpha=0.75)[0]  # 2 - 0.1 / √0.25
    tensor([1.8000])
    """
    (s,) = state
    g = g + weight_decay * w
    s = alpha * s + (1 - alpha) * g * g
    return w - lr * g / (s.sqrt() + eps), (s,)
