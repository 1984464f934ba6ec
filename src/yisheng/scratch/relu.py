"""The rectified linear unit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    _plots.draw_with_slope(axes, relu, label="relu(x)", xlabel="x")


@register(
    equation="""relu(x) = max(x, 0)
derivative: 1 if x > 0, else 0""",
    usual="""
import torch
x = torch.randn(32, 10)
y = torch.relu(x)
""",
    when="""Between the layers of nearly any network: cheap, and the gradient of an active unit does not vanish. A
unit that is inactive for every sample stops learning; Kaiming initialization and a moderate learning rate mostly
prevent that.""",
    plot=_plot,
)
def relu(x: Tensor) -> Tensor:
    """Compute max(x, 0) of each number.

    Args:
        x: of any shape; NaN stays NaN, so that it is noticed.

    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.

    >>> relu(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    return torch.where(x <= 0, 0, x)
