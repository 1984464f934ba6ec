"""The hyperbolic tangent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    _plots.draw_with_slope(axes, tanh, label="tanh(x)", low=-4, high=4, xlabel="x")


@register(
    equation="""tanh(x) = (1 − exp(−2x)) / (1 + exp(−2x)) = 2 σ(2x) − 1
derivative: 1 − tanh²(x)""",
    usual="""
import torch
x = torch.randn(32, 10)
y = torch.tanh(x)
""",
    when="""If outputs must be within −1 and 1 (recurrent networks). Unlike the sigmoid it is the identity near zero,
so signals keep their mean of zero; but far from zero it is flat, so deep networks use relu.""",
    plot=_plot,
)
def tanh(x: Tensor) -> Tensor:
    """Compute the hyperbolic tangent (1 − exp(−2x)) / (1 + exp(−2x)) such that the exp is never above 1.

    Args:
        x: of any shape.

    Source: LeCun et al., "Efficient backprop", 1998, section 4.4; Zhang et al., "Dive into deep learning", 2023,
    section 5.1.2.3.

    >>> tanh(torch.tensor([-1000.0, 0.0, 0.5]))
    tensor([-1.0000,  0.0000,  0.4621])
    """
    e = torch.where(x < 0, 2 * x, -2 * x).expm1()  # exp(-2|x|) - 1, exact near zero
    return torch.where(x < 0, e, -e) / (2 + e)
