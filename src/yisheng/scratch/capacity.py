"""Capacity: how much of random targets a model can fit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS


def _plot(axes: Any) -> None:
    """Draw the fit of random targets by the number of inputs of a linear model, on 40 rows."""
    generator = torch.Generator().manual_seed(0)
    sizes = list(range(1, 40, 2))
    fits = []
    for size in sizes:
        x, y = torch.randn(20, 40, size, generator=generator), torch.randn(20, 40, generator=generator)
        fits.append(torch.stack([capacity(a, b) for a, b in zip(x, y, strict=True)]).mean())
    axes.plot(sizes, fits, "o-", markersize=3, color=COLORS[0], label="mean of 20 draws")
    axes.plot(sizes, [size / 39 for size in sizes], "--", color=COLORS[1], label="D / (N − 1)")
    axes.set(xlabel="inputs D of a linear model, 40 rows", ylabel="R² on random targets")
    axes.legend()


@register(
    equation="""R² = 1 − Σ (ŷ − y)² / Σ (y − ȳ)²   on the training rows, for targets y that are random
a linear model with a bias, D inputs and N > D rows: on average D / (N − 1);  all of it if D ≥ N − 1""",
    usual="""
import torch
from sklearn.linear_model import LinearRegression
x, y = torch.randn(40, 10).numpy(), torch.randn(40).numpy()
fit = LinearRegression().fit(x, y).score(x, y)
""",
    when="""To see how much of a good training score is memory: train the same model on shuffled targets
(`yisheng diagnose` tries it). A network that fits random labels can also fit the noise of the true ones; weight decay,
dropout and early stopping restrict it, more rows do so best.""",
    plot=_plot,
)
def capacity(x: Tensor, y: Tensor) -> Tensor:
    """Compute the fraction R² of the targets' variance that a linear model with a bias fits on its training rows.

    Args:
        x: inputs (N, D), N > D + 1, whose columns are linearly independent.
        y: targets (N,), random ones to measure the capacity.

    Source: Zhang et al., "Understanding deep learning requires rethinking generalization", 2017, section 2;
    Goodfellow, Bengio and Courville, "Deep learning", 2016, section 5.2.

    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(1000, 100, generator=generator), torch.randn(1000, generator=generator)
    >>> f"{capacity(x, y):.1f}"  # 100 / 999
    '0.1'
    """
    x, y = x - x.mean(0), y - y.mean()
    q, _ = torch.linalg.qr(x)
    fitted = q @ (q.T @ y)
    return 1 - ((fitted - y) ** 2).sum() / (y**2).sum()
