"""Dropout: units set to zero at random in every update."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw the remaining units of 20 in 12 updates."""
    remaining = dropout(torch.ones(12, 20), p=0.5, generator=torch.Generator().manual_seed(0))
    axes.imshow(remaining.numpy(), cmap="Greys", vmin=0, vmax=2)
    axes.set(xlabel="unit", ylabel="update", title="p = 0.5: black is doubled, white is zero")


@register(
    equation="""training:     y = x · m / (1 − p)     m = 1 with probability 1 − p, else 0, for each number
prediction:   y = x
so that the mean of y is x in both""",
    usual="""
import torch
x = torch.randn(32, 256)
y = torch.nn.functional.dropout(x, p=0.5, training=True)
""",
    when="""Against overfitting, after the hidden layers of a wide network: p between 0.1 and 0.5, lower near the
input. Call model.eval() before every prediction; forgetting it is a common defect. With batch norm it is often
left out.""",
    plot=_plot,
)
def dropout(x: Tensor, *, p: float = 0.5, training: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """Set numbers to zero with probability p, and the others to x / (1 − p); in prediction return x.

    The mask is drawn as torch draws it on a CPU, so that the same seed gives the same bits.

    Args:
        x: of any shape.
        p: probability of zero, 0 to 1; 0.5 is the paper's for hidden units.
        training: whether to set numbers to zero.
        generator: source of the random numbers; torch's global generator by default.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", Journal of Machine
    Learning Research 15, 2014, section 10 (inverted).

    >>> dropout(torch.ones(1000), p=0.5).unique()
    tensor([0., 2.])
    """
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0
    mask = torch.empty_like(x).bernoulli_(1 - p, generator=generator)
    return x * (mask / (1 - p))
