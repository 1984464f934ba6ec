"""Exponentially weighted average."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw a noisy wave, and its average with and without the correction."""
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(100)
    x = 1.5 + torch.sin(t / 16) + 0.3 * torch.randn(100, generator=generator)
    axes.plot(t, x, ".", color="#b0b0b0", markersize=4, label="values")
    axes.plot(t, exponential_average(x, beta=0.95, corrected=False), "--", color="#e69f00", label="uncorrected")
    axes.plot(t, exponential_average(x, beta=0.95), color="#0072b2", label="corrected")
    axes.set(xlabel="t", title="exponentially weighted average, β = 0.95")
    axes.legend()


@register(
    equation="""v ← β v + (1 − β) x,   v = 0 at first
average = v / (1 − βᵗ)""",
    usual="""
import pandas as pd
average = pd.Series([1.0, 2.0, 4.0]).ewm(alpha=1 - 0.9).mean()
""",
    when="""To smooth a noisy value (a loss, a gradient) with one number of memory. β = 0.9 averages over about 10
values, 0.99 over 100. Correct it if the first 1/(1 − β) values matter.""",
    plot=_plot,
)
def exponential_average(x: Tensor, *, beta: float = 0.9, corrected: bool = True) -> Tensor:
    """Compute a running mean in which the weight of the past decreases by the factor β per step.

    v_t = β v_(t-1) + (1 - β) x_t from v_0 = 0, divided by 1 - β^t, the sum of its weights.

    Args:
        x: values in their order, (T, ...).
        beta: fraction of the mean that a step keeps; it averages over about 1/(1 - β) steps.
        corrected: correct the bias towards the initial zero.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, section 3 (the correction).

    >>> exponential_average(torch.tensor([4.0, 4.0, 4.0]), beta=0.5, corrected=False)
    tensor([2.0000, 3.0000, 3.5000])
    >>> exponential_average(torch.tensor([4.0, 4.0, 4.0]), beta=0.5)
    tensor([4., 4., 4.])
    """
    v, averages = torch.zeros_like(x[0]), []
    for t, value in enumerate(x, start=1):
        v = beta * v + (1 - beta) * value
        averages.append(v / (1 - beta**t) if corrected else v)
    return torch.stack(averages)
