"""Downhill, one step per batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _bowl


def _plot(axes: Any) -> None:
    """Three learning rates on a narrow bowl: the small one crawls along it, the large one can hardly stay in."""
    for lr, colour in zip((0.05, 0.35, 0.49), _bowl.COLOURS, strict=False):
        _bowl.draw(axes, sgd, steps=20, label=f"lr {lr}", colour=colour, lr=lr)


@register(
    memories=0,
    equation="w ← w − lr (g + λ w)",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1, weight_decay=0.01)
""",
    when="""The first thing to try on linear models and the yardstick for the others. On networks momentum is nearly
always faster for the same effort; the learning rate is what matters most, so search it on a logarithmic scale.""",
    plot=_plot,
)
def sgd(
    w: Tensor,
    g: Tensor,
    memory: tuple[()],
    t: int | Tensor,  # noqa: ARG001  # every optimiser is called alike
    *,
    lr: float | Tensor = 0.1,
    weight_decay: float | Tensor = 0.0,
) -> tuple[Tensor, tuple[()]]:
    """Stochastic gradient descent: a step against the gradient of the batch's mean loss.

    w <- w - lr (g + λ w)

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        memory: nothing is remembered.
        t: number of the update, from 1; it does not matter here.
        lr: learning rate, or a tensor of them that broadcasts against w, such as (K, 1) for K models.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss, likewise.

    Source: Robbins and Monro, "A stochastic approximation method", 1951; Zhang et al., "Dive into Deep
    Learning", section 12.4.

    >>> import torch
    >>> sgd(torch.tensor([2.0]), torch.tensor([3.0]), (), 1, lr=0.5, weight_decay=0.1)[0]  # 2 - 0.5 (3 + 0.1 * 2)
    tensor([0.4000])
    """
    g = g + weight_decay * w
    return w - lr * g, memory
