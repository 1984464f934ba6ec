"""Nothing below zero, unchanged above."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _curves


def _plot(axes: Any) -> None:
    _curves.draw_with_slope(axes, relu, label="relu(x)", xlabel="x")


@register(
    equation="""relu(x) = max(x, 0)
derivative: 1 where x > 0, else 0""",
    usual="""
import torch
x = torch.randn(32, 10)
y = torch.relu(x)
""",
    when="""Between the layers of nearly any network: cheap, and the gradient does not fade where a unit is on. A
unit that is off for every sample learns no more; Kaiming initialisation and a modest learning rate prevent most of
that.""",
    plot=_plot,
)
def relu(x: Tensor) -> Tensor:
    """The rectifier: max(x, 0), each number by itself.

    Args:
        x: of any shape; not-a-number stays so, that it may be noticed.

    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.

    >>> relu(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    return torch.where(x <= 0, 0, x)
