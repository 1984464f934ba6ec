"""The sigmoid function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    _plots.draw_with_slope(axes, sigmoid, label="σ(x)", low=-8, high=8, xlabel="x")


@register(
    equation="""σ(x) = 1 / (1 + exp(−x)) = exp(x) / (1 + exp(x))
derivative: σ(x) (1 − σ(x)), at most ¼""",
    usual="""
import torch
x = torch.randn(32, 10)
y = torch.sigmoid(x)
""",
    when="""To convert one output into the probability of yes, and for gates. Between layers use relu: the sigmoid's
slope is ¼ at most, so gradients vanish with depth.""",
    plot=_plot,
)
def sigmoid(x: Tensor) -> Tensor:
    """Compute the logistic function 1 / (1 + exp(−x)) such that the exp is never above 1.

    Args:
        x: of any shape.

    Source: Verhulst, "Recherches mathématiques sur la loi d'accroissement de la population", 1845; Zhang et al.,
    "Dive into deep learning", 2023, section 5.1.2.2.

    >>> sigmoid(torch.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    e = torch.where(x < 0, x, -x).exp()
    return torch.where(x < 0, e, 1) / (1 + e)


def sigmoid_naive(x: Tensor) -> Tensor:
    """Compute the definition directly: far below zero its gradient is 0 times infinity.

    >>> x = torch.tensor([-1000.0], requires_grad=True)
    >>> torch.autograd.grad(sigmoid_naive(x).sum(), x)
    (tensor([nan]),)
    """
    return 1 / (1 + (-x).exp())
