"""Inverse decay of the learning rate."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw four schedules of the learning rate."""
    epochs = range(31)
    axes.plot(epochs, [inverse_decay(1.0, e, k=0.3) for e in epochs], color="#0072b2", label="inverse, k = 0.3")
    axes.plot(epochs, [0.9**e for e in epochs], color="#e69f00", label="exponential, 0.9")
    axes.step(epochs, [0.1 ** (e // 10) for e in epochs], where="post", color="#009e73", label="step, every 10")
    axes.plot(epochs, [(1 + math.cos(math.pi * e / 30)) / 2 for e in epochs], color="#cc79a7", label="cosine")
    axes.set(xlabel="epoch", ylabel="fraction of the learning rate")
    axes.legend()


@register(
    equation="lr(e) = lr / (1 + k e)",
    usual="""
import torch
optimizer = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.1)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 1 / (1 + 1.0 * e))
""",
    when="""For long runs of plain SGD: the sum of the rates is infinite, so every optimum can be reached. With a
fixed number of epochs a cosine that ends at zero is usually better.""",
    plot=_plot,
)
def inverse_decay(lr: float | Tensor, epoch: int | Tensor, *, k: float | Tensor = 1.0) -> float | Tensor:
    """Compute the learning rate of an epoch, which falls in inverse proportion to time.

    lr / (1 + k epoch)

    Args:
        lr: learning rate of the first epoch, or a tensor of several.
        epoch: number of the epoch, from 0.
        k: decay per epoch; with 1 the rates are lr, lr/2, lr/3, ...

    Source: Robbins and Monro, "A stochastic approximation method", 1951 (why 1/t).

    >>> [inverse_decay(0.6, epoch) for epoch in (0, 1, 2)]
    [0.6, 0.3, 0.19999999999999998]
    """
    return lr / (1 + k * epoch)
