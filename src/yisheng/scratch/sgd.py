"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    """Draw paths in a narrow valley: a low learning rate is slow along it, a high one nearly diverges across it."""
    for lr, color in zip((0.05, 0.35, 0.49), _plots.COLORS, strict=False):
        _plots.draw_path(axes, sgd, steps=20, label=f"lr {lr}", color=color, lr=lr)


@register(
    state_tensors=0,
    equation="w ← w − lr (g + λ w)",
    usual="""
import torch
w = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1, weight_decay=0.01)
""",
    when="""For linear models, and as the reference for other optimizers. On networks momentum is nearly always faster
at the same cost; the learning rate matters most, so search it on a logarithmic scale.""",
    plot=_plot,
)
def sgd(
    w: Tensor,
    g: Tensor,
    state: tuple[()],
    t: int | Tensor,  # noqa: ARG001  # all optimizers have one signature
    *,
    lr: float | Tensor = 0.1,
    weight_decay: float | Tensor = 0.0,
) -> tuple[Tensor, tuple[()]]:
    """Update against the gradient of the batch's mean loss.

    w <- w - lr (g + λ w)

    Args:
        w: weights, of any shape.
        g: their gradient, of the same shape.
        state: empty, since it has no state.
        t: number of the update, from 1; not used.
        lr: learning rate, or a tensor that broadcasts against w, such as (K, 1) for K models.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss, likewise.

    Source: Robbins and Monro, "A stochastic approximation method", 1951; Zhang et al., "Dive into Deep
    Learning", section 12.4.

    >>> import torch
    >>> sgd(torch.tensor([2.0]), torch.tensor([3.0]), (), 1, lr=0.5, weight_decay=0.1)[0]  # 2 - 0.5 (3 + 0.1 * 2)
    tensor([0.4000])
    """
    g = g + weight_decay * w
    return w - lr * g, state
