"""Gradient descent: steps against the gradient of all rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS


def _plot(axes: Any) -> None:
    """Draw steps on w²: a low learning rate is slow, a high one jumps across the minimum, above 1 it diverges."""
    w = torch.linspace(-2.6, 2.6, 101)
    axes.plot(w, w**2, color="#c8c8c8")
    for lr, color in zip((0.05, 0.4, 0.9, 1.03), COLORS, strict=True):
        path = gradient_descent(lambda w: 2 * w, torch.tensor(2.0), lr=lr, steps=8)
        axes.plot(path, path**2, "o-", markersize=3, linewidth=1, color=color, label=f"lr {lr}")
    axes.set(xlabel="w", ylabel="w²", ylim=(-0.3, 7))
    axes.legend()


@register(
    equation="w ← w − lr ∇L(w)",
    usual="""
import torch
x, y = torch.randn(100, 3), torch.randn(100, 1)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(20):
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
    when="""With all rows in each step only for small data; otherwise on mini-batches (`yisheng explain sgd`). The
learning rate must be below 2 divided by the largest curvature, else it diverges; `yisheng lr-find` measures a good
one.""",
    plot=_plot,
)
def gradient_descent(gradient: Callable[[Tensor], Tensor], w: Tensor, *, lr: float = 0.1, steps: int = 20) -> Tensor:
    """Compute the path (steps + 1, ...) of the weights, the first ones included.

    w <- w - lr gradient(w)

    Args:
        gradient: returns the gradient of the loss at weights of the shape of w.
        w: first weights, of any shape.
        lr: learning rate; on a quadratic of curvature c it converges if lr < 2 / c, in one step if lr = 1 / c.
        steps: number of updates.

    Source: Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", 1847; Zhang et al.,
    "Dive into deep learning", 2023, section 12.3.

    >>> gradient_descent(lambda w: 2 * w, torch.tensor(2.0), lr=0.25, steps=3)
    tensor([2.0000, 1.0000, 0.5000, 0.2500])
    """
    path = [w]
    for _ in range(steps):
        path.append(path[-1] - lr * gradient(path[-1]))
    return torch.stack(path)
