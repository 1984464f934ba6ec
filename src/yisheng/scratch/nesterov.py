"""SGD with Nesterov's momentum."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.momentum import momentum as plain_momentum


def _plot(axes: Any) -> None:
    """Draw its path and that of plain momentum, which overshoots more with the same options."""
    options = {"lr": 0.2, "momentum": 0.8}
    _plots.draw_path(axes, plain_momentum, 1, steps=30, label="momentum", color=_plots.COLORS[0], **options)
    _plots.draw_path(axes, nesterov, 1, steps=30, label="nesterov", color=_plots.COLORS[1], weight_decay=0.0, **options)


@register(
    state_tensors=1,
    equation="""g' = g + λ w
v ← momentum v + g'
w ← w − lr (g' + momentum v)""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.05, momentum=0.9, nesterov=True)
""",
    when="""A good default for networks on images: at the cost of plain momentum it slows down earlier if the
gradient's direction changes. With small batches, whose gradients are noisy, the difference is slight.""",
    plot=_plot,
)
def nesterov(
    w: Tensor,
    g: Tensor,
    state: tuple[Tensor],
    t: int | Tensor,  # noqa: ARG001  # all optimizers have one signature
    *,
    lr: float | Tensor = 0.05,
    momentum: float | Tensor = 0.9,
    weight_decay: float | Tensor = 5e-4,
) -> tuple[Tensor, tuple[Tensor]]:
    """Update by the step that plain momentum would make next if the gradient stayed the same.

    g' = g + λ w;  v <- momentum v + g';  w <- w - lr (g' + momentum v)

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        state: the velocity v, of the same shape; zeros at first.
        t: number of the update, from 1; not used.
        lr: learning rate, or a tensor that broadcasts against w, such as (K, 1) for K models.
        momentum: fraction of the velocity that a step keeps, likewise; 0.9 averages over about 10 steps.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss, likewise; 5e-4 is that of the wide
            residual networks on small images.

    Source: Nesterov, "A method of solving a convex programming problem with convergence rate O(1/k²)", 1983;
    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, section 2.1.

    >>> import torch
    >>> nesterov(torch.tensor([2.0]), torch.ones(1), (torch.zeros(1),), 1, lr=0.1, weight_decay=0.0)[0]
    tensor([1.8100])
    """
    (v,) = state
    g = g + weight_decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v), (v,)
