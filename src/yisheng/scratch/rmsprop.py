"""Each weight at its own pace."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _bowl
from yisheng.scratch.sgd import sgd


def _plot(axes: Any) -> None:
    """Steps as long along the bowl as across it, however steep either is."""
    _bowl.draw(axes, sgd, steps=20, label="sgd", colour=_bowl.COLOURS[0], lr=0.4)
    _bowl.draw(axes, rmsprop, 1, steps=20, label="rmsprop", colour=_bowl.COLOURS[1], lr=0.4)


@register(
    memories=1,
    equation="""g' = g + λ w
s ← alpha s + (1 − alpha) g'²
w ← w − lr g' / (√s + eps)""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.RMSprop([w], lr=0.001, alpha=0.9)
""",
    when="""Where gradients differ much in size from weight to weight: recurrent networks, inputs of unlike scales.
Adam does the same with momentum and a corrected start; take RMSprop where momentum disturbs. Mind alpha: torch's own
default is 0.99.""",
    plot=_plot,
)
def rmsprop(
    w: Tensor,
    g: Tensor,
    memory: tuple[Tensor],
    t: int | Tensor,  # noqa: ARG001  # every optimiser is called alike
    *,
    lr: float | Tensor = 0.001,
    alpha: float | Tensor = 0.9,
    eps: float | Tensor = 1e-8,
    weight_decay: float | Tensor = 0.0,
) -> tuple[Tensor, tuple[Tensor]]:
    """RMSprop: every step divided by the recent size of that weight's gradient.

    g' = g + λ w;  s <- alpha s + (1 - alpha) g'²;  w <- w - lr g' / (√s + eps)

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        memory: the mean square s, of the same shape; zeros at first.
        t: number of the update, from 1; it does not matter here.
        lr: learning rate, in units of the weights, or a tensor of them that broadcasts against w, such as (K, 1)
            for K models.
        alpha: what is kept of the mean square from step to step, likewise; 0.9, the lecture's, looks back over
            10 steps.
        eps: keeps the quotient finite where gradients vanish, likewise.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss (scaled with the gradient), likewise.

    Source: Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012, Coursera.

    >>> import torch
    >>> g = torch.tensor([1000.0])
    >>> rmsprop(torch.tensor([2.0]), g, (torch.zeros(1),), 1, lr=0.1, alpha=0.75)[0]  # 2 - 0.1 / √0.25
    tensor([1.8000])
    """
    (s,) = memory
    g = g + weight_decay * w
    s = alpha * s + (1 - alpha) * g * g
    return w - lr * g / (s.sqrt() + eps), (s,)
