"""A ball that keeps rolling."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _bowl
from yisheng.scratch.sgd import sgd


def _plot(axes: Any) -> None:
    """On a narrow bowl plain steps zigzag across it, momentum adds up along it."""
    _bowl.draw(axes, sgd, steps=20, label="sgd", colour=_bowl.COLOURS[0], lr=0.4)
    _bowl.draw(axes, momentum, 1, steps=20, label="momentum 0.5", colour=_bowl.COLOURS[1], lr=0.4, momentum=0.5)


@register(
    memories=1,
    equation="""v ← momentum v + g + λ w
w ← w − lr v""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.05, momentum=0.9)
""",
    when="""Whenever plain SGD would do: it costs one more number per weight and gets along narrow valleys many times
faster. Steps become up to 1/(1 − momentum) times as long, so take a smaller learning rate with it: a tenth at 0.9.""",
    plot=_plot,
)
def momentum(
    w: Tensor,
    g: Tensor,
    memory: tuple[Tensor],
    t: int | Tensor,  # noqa: ARG001  # every optimiser is called alike
    *,
    lr: float | Tensor = 0.05,
    momentum: float | Tensor = 0.9,
    weight_decay: float | Tensor = 0.0,
) -> tuple[Tensor, tuple[Tensor]]:
    """Momentum: steps along a velocity, a fading sum of the gradients.

    v <- momentum v + g + λ w;  w <- w - lr v. Gradients that agree add up, those that quarrel cancel out.

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        memory: the velocity v, of the same shape; zeros at first.
        t: number of the update, from 1; it does not matter here.
        lr: learning rate, or a tensor of them that broadcasts against w, such as (K, 1) for K models.
        momentum: what is kept of the velocity from step to step, likewise; 0.9 looks back over about 10 steps.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss, likewise.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et al.,
    "On the importance of initialization and momentum in deep learning", 2013, section 2.

    >>> import torch
    >>> w, memory = torch.tensor([2.0]), (torch.zeros(1),)
    >>> for t in (1, 2):
    ...     w, memory = momentum(w, torch.ones(1), memory, t, lr=0.1)
    >>> w  # 2 - 0.1 * 1 - 0.1 * 1.9
    tensor([1.7100])
    """
    (v,) = memory
    v = momentum * v + g + weight_decay * w
    return w - lr * v, (v,)
