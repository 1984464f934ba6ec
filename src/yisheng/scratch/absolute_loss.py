"""Absolute error."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    zero = torch.zeros((), dtype=torch.float64)
    _plots.draw_with_slope(axes, lambda e: absolute_loss(e, zero), label="|e|", low=-3, high=3, xlabel="error e")


@register(
    equation="""l(o, y) = |o − y|
∂l/∂o = sign(o − y), taken as 0 at 0""",
    usual="""
import torch
output, y = torch.randn(32, 1), torch.randn(32, 1)
loss = torch.nn.functional.l1_loss(output, y, reduction="none")
""",
    when="""For a number as the target if some targets are outliers: its minimum is the median. The gradient does not
shrink near the minimum, so let the learning rate fall, or use huber-loss.""",
    plot=_plot,
)
def absolute_loss(output: Tensor, y: Tensor) -> Tensor:
    """Compute the absolute error of each number: |output − y|.

    Args:
        output: predictions, of any shape.
        y: the targets, of the same shape and unit.

    Source: Laplace, "Mémoire sur la probabilité des causes par les évènements", 1774; Hastie et al., "The elements of
    statistical learning", 2009, section 10.6.

    >>> absolute_loss(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.5]))
    tensor([2.0000, 0.5000])
    """
    error = output - y
    return error * error.detach().sign()
