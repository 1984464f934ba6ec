"""SGD with momentum."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.sgd import sgd


def _plot(axes: Any) -> None:
    """Draw the paths in a narrow valley: plain steps zigzag across it, momentum adds up along it."""
    _plots.draw_path(axes, sgd, steps=20, label="sgd", color=_plots.COLORS[0], lr=0.4)
    _plots.draw_path(axes, momentum, 1, steps=20, label="momentum 0.5", color=_plots.COLORS[1], lr=0.4, momentum=0.5)


@register(
    state_tensors=1,
    equation="""v ← momentum v + g + λ w
w ← w − lr v""",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.05, momentum=0.9)
""",
    when="""Instead of plain SGD: it needs one more number per weight and is many times faster in narrow valleys.
Steps become up to 1/(1 − momentum) times as long, so use a smaller learning rate: a tenth at 0.9.""",
    plot=_plot,
)
def momentum(
    w: Tensor,
    g: Tensor,
    state: tuple[Tensor],
    t: int | Tensor,  # noqa: ARG001  # all optimizers have one signature
    *,
    lr: float | Tensor = 0.05,
    momentum: float | Tensor = 0.9,
    weight_decay: float | Tensor = 0.0,
) -> tuple[Tensor, tuple[Tensor]]:
    """Update along a velocity, an exponentially weighted sum of the gradients.

    v <- momentum v + g + λ w;  w <- w - lr v. Gradients in the same direction add up, those in opposite directions
    cancel out.

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        state: the velocity v, of the same shape; zeros at first.
        t: number of the update, from 1; not used.
        lr: learning rate, or a tensor that broadcasts against w, such as (K, 1) for K models.
        momentum: fraction of the velocity that a step keeps, likewise; 0.9 averages over about 10 steps.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss, likewise.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et al.,
    "On the importance of initialization and momentum in deep learning", 2013, section 2.

    >>> import torch
    >>> w, state = torch.tensor([2.0]), (torch.zeros(1),)
    >>> for t in (1, 2):
    ...     w, state = momentum(w, torch.ones(1), state, t, lr=0.1)
    >>> w  # 2 - 0.1 * 1 - 0.1 * 1.9
    tensor([1.7100])
    """
    (v,) = state
    v = momentum * v + g + weight_decay * w
    return w - lr * v, (v,)
