"""Softmax: probabilities from logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS


def _plot(axes: Any) -> None:
    """Draw the probabilities of the same logits at three temperatures."""
    logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0])
    for i, temperature in enumerate((0.5, 1.0, 5.0)):
        positions = [k + 0.27 * (i - 1) for k in range(5)]
        heights = softmax(logits, temperature=temperature).tolist()
        axes.bar(positions, heights, width=0.25, color=COLORS[i], label=f"temperature {temperature:g}")
    axes.set_xticks(range(5), [f"{z:g}" for z in logits.tolist()])
    axes.set(xlabel="logit", ylabel="probability")
    axes.legend()


@register(
    equation="""pₖ = exp(zₖ / T) / Σⱼ exp(zⱼ / T)
unchanged if the same number is subtracted from every zⱼ: subtracting the largest keeps every exp at most 1
∂pₖ/∂zⱼ = pₖ (δₖⱼ − pⱼ) / T""",
    usual="""
import torch
logits = torch.randn(32, 10)
probabilities = torch.softmax(logits, dim=-1)
""",
    when="""To convert a network's outputs into probabilities of classes that exclude one another. Not before cross-
entropy, which takes the logits. A temperature above 1 makes the probabilities more even (calibration,
distillation), one below 1 less; their order stays.""",
    plot=_plot,
)
def softmax(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Compute the softmax exp(z_k / T) / Σ_j exp(z_j / T), stable since the largest logit is subtracted first.

    Args:
        logits: any numbers (..., C).
        temperature: T > 0, by which the logits are divided; 1 does not change them.

    Source: Bridle, "Training stochastic model recognition algorithms as networks can lead to maximum mutual
    information estimation of parameters", 1990; Hinton et al., "Distilling the knowledge in a neural network", 2015,
    equation 1 (temperature).

    >>> softmax(torch.tensor([1000.0, 1000.0, 0.0]))
    tensor([0.5000, 0.5000, 0.0000])
    >>> softmax(torch.tensor([4.0, 0.0]), temperature=4.0)
    tensor([0.7311, 0.2689])
    """
    z = logits / temperature
    weights = (z - z.detach().amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)


def softmax_naive(logits: Tensor) -> Tensor:
    """Compute the definition directly: an exp above e^88 (float32) or e^709 (float64) is infinite.

    >>> softmax_naive(torch.tensor([1000.0, 1000.0, 0.0]))
    tensor([nan, nan, 0.])
    """
    weights = logits.exp()
    return weights / weights.sum(-1, keepdim=True)
