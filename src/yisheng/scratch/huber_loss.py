"""Huber's loss: squared for small errors, absolute for large ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.absolute_loss import absolute_loss
from yisheng.scratch.squared_loss import squared_loss


def _plot(axes: Any) -> None:
    """Draw the three losses of regression."""
    zero = torch.zeros((), dtype=torch.float64)
    curves: dict[str, _plots.Curve] = {
        "squared ½ e²": lambda e: squared_loss(e, zero),
        "absolute |e|": lambda e: absolute_loss(e, zero),
        "Huber, δ = 1": lambda e: huber_loss(e, zero),
    }
    _plots.draw_curves(axes, curves, low=-3, high=3, xlabel="error e", ylabel="loss")


@register(
    equation="""l(o, y) = ½ e²            if |e| ≤ δ,     with e = o − y
        = δ (|e| − ½ δ)   otherwise
∂l/∂o = e, clipped to [−δ, δ]""",
    usual="""
import torch
output, y = torch.randn(32, 1), torch.randn(32, 1)
loss = torch.nn.functional.huber_loss(output, y, reduction="none", delta=1.0)
""",
    when="""For a number as the target with some outliers: smooth at its minimum like squared-loss, as robust against
outliers as absolute-loss. δ is the error from which on a target counts as an outlier.""",
    plot=_plot,
)
def huber_loss(output: Tensor, y: Tensor, *, delta: float = 1.0) -> Tensor:
    """Compute Huber's loss of each number: e²/2 if |e| <= δ, else δ (|e| − δ/2), e = output − y.

    Args:
        output: predictions, of any shape.
        y: the targets, of the same shape and unit.
        delta: δ > 0, the error from which on the loss is linear, in units of the target: 1 is one standard deviation of
            a standardized target.

    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.

    >>> huber_loss(torch.tensor([3.0, 0.5]), torch.tensor([0.0, 0.0]))
    tensor([2.5000, 0.1250])
    """
    size = absolute_loss(output, y)
    return torch.where(size <= delta, squared_loss(output, y), delta * (size - delta / 2))
