"""Momentum that looks ahead."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _bowl
from yisheng.scratch.momentum import momentum as plain


def _plot(axes: Any) -> None:
    """At the same settings it overshoots less than plain momentum."""
    options = {"lr": 0.2, "momentum": 0.8}
    _bowl.draw(axes, plain, 1, steps=30, label="momentum", colour=_bowl.COLOURS[0], **options)
    _bowl.draw(axes, nesterov, 1, steps=30, label="nesterov", colour=_bowl.COLOURS[1], weight_decay=0.0, **options)


@register(
    memories=1,
    equation="""g' = g + λ w
v ← momentum v + g'
w ← w − lr (g' + momentum v)""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.05, momentum=0.9, nesterov=True)
""",
    when="""A good default for networks on images: no dearer than plain momentum, and it brakes earlier where the
path bends. With batches that are small and noisy the difference is slight.""",
    plot=_plot,
)
def nesterov(
    w: Tensor,
    g: Tensor,
    memory: tuple[Tensor],
    t: int | Tensor,  # noqa: ARG001  # every optimiser is called alike
    *,
    lr: float | Tensor = 0.05,
    momentum: float | Tensor = 0.9,
    weight_decay: float | Tensor = 5e-4,
) -> tuple[Tensor, tuple[Tensor]]:
    """Nesterov's momentum: the step that plain momentum would make next, if the gradient stayed as it is.

    g' = g + λ w;  v <- momentum v + g';  w <- w - lr (g' + momentum v)

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        memory: the velocity v, of the same shape; zeros at first.
        t: number of the update, from 1; it does not matter here.
        lr: learning rate, or a tensor of them that broadcasts against w, such as (K, 1) for K models.
        momentum: what is kept of the velocity from step to step, likewise; 0.9 looks back over about 10 steps.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss, likewise; 5e-4 is the wide residual
            nets' on small images.

    Source: Nesterov, "A method of solving a convex programming problem with convergence rate O(1/k²)", 1983;
    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, section 2.1.

    >>> import torch
    >>> nesterov(torch.tensor([2.0]), torch.ones(1), (torch.zeros(1),), 1, lr=0.1, weight_decay=0.0)[0]
    tensor([1.8100])
    """
    (v,) = memory
    g = g + weight_decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v), (v,)
