"""L1 and L2 regularization: which weights minimize a squared loss with both penalties."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS

BEST = torch.tensor([1.6, 0.7])
"""Minimum of the loss in the image."""


def _plot(axes: Any) -> None:
    """Draw lines of equal loss, and the regions of equal penalty that touch them: L1's at a corner, where w₂ is 0."""
    side = torch.linspace(-1.4, 2.6, 161)
    w1, w2 = torch.meshgrid(side, side, indexing="xy")
    loss = ((w1 - BEST[0]) ** 2 + (w2 - BEST[1]) ** 2) / 2
    axes.contour(side, side, loss, levels=8, colors="#c8c8c8", linewidths=0.8)
    for solution, size, color, label in (
        (regularization(BEST, l1=0.8, l2=0.0), w1.abs() + w2.abs(), COLORS[0], "L1"),
        (regularization(BEST, l1=0.0, l2=1.0), w1**2 + w2**2, COLORS[1], "L2"),
    ):
        level = float(solution.abs().sum() if label == "L1" else (solution**2).sum())
        axes.contour(side, side, size, levels=[level], colors=color)
        axes.plot(*solution, "o", color=color, label=f"minimum with {label}: ({solution[0]:.2f}, {solution[1]:.2f})")
    axes.plot(*BEST, "k+", label="minimum of the loss alone")
    axes.set(xlabel="w₁", ylabel="w₂", aspect="equal")
    axes.legend(loc="lower left", fontsize=8)


@register(
    equation="""w = argmin_w  ½ (w − v)² + l1 |w| + l2/2 w²
  = sign(v) max(|v| − l1, 0) / (1 + l2)""",
    usual="""
from sklearn.linear_model import ElasticNet
model = ElasticNet(alpha=0.1, l1_ratio=0.5)  # l1 = alpha · l1_ratio, l2 = alpha · (1 − l1_ratio)
""",
    when="""L2 if all inputs matter a little: it makes every weight smaller by a factor. L1 if only some matter: it sets
the others exactly to zero, because its lines of equal penalty have corners on the axes. In networks use L2 or weight
decay.""",
    plot=_plot,
)
def regularization(v: Tensor, *, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """Compute the weights at the minimum of ½ (w − v)² + l1 |w| + l2/2 w², number by number.

    Args:
        v: weights at the minimum of the loss alone, of any shape; the loss curves by 1 in every direction.
        l1: weight of the sum of the absolute weights, not negative.
        l2: weight of half the sum of the squared weights, not negative.

    Source: Tibshirani, "Regression shrinkage and selection via the lasso", 1996, section 2.2; Zou and Hastie,
    "Regularization and variable selection via the elastic net", 2005, section 3.2.

    >>> regularization(torch.tensor([2.0, -0.3]), l1=0.5)
    tensor([1.5000, -0.0000])
    >>> regularization(torch.tensor([2.0, -0.3]), l2=1.0)
    tensor([ 1.0000, -0.1500])
    """
    return v.sign() * (v.abs() - l1).clamp(min=0) / (1 + l2)
