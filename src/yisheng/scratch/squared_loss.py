"""Half the squared error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    zero = torch.zeros((), dtype=torch.float64)
    _plots.draw_with_slope(axes, lambda e: squared_loss(e, zero), label="½ e²", low=-3, high=3, xlabel="error e")


@register(
    equation="""l(o, y) = ½ (o − y)²
∂l/∂o = o − y""",
    usual="""
import torch
output, y = torch.randn(32, 1), torch.randn(32, 1)
loss = 0.5 * torch.nn.functional.mse_loss(output, y, reduction="none")
""",
    when="""For a number as the target if the errors are about normal: its minimum is the mean. A single outlier has a
large influence; then use huber-loss or absolute-loss. With the ½ the derivative is the error.""",
    plot=_plot,
)
def squared_loss(output: Tensor, y: Tensor) -> Tensor:
    """Compute half the squared error of each number: ½ (output − y)².

    Args:
        output: predictions, of any shape.
        y: the targets, of the same shape and unit.

    Source: Gauss, "Theoria motus corporum coelestium", 1809, section 179; Zhang et al., "Dive into deep learning",
    2023, equation 3.1.5.

    >>> squared_loss(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]))
    tensor([2., 0.])
    """
    return (output - y) ** 2 / 2
