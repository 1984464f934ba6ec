"""What becomes of a signal on its way through many layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from yisheng.scratch._bowl import COLOURS

DEPTH, WIDTH = 20, 128
Change = Callable[[Tensor], Tensor]


def sizes(weights: Change, activation: Change, *, draw: torch.Generator) -> Tensor:
    """Standard deviation before and after each of 20 layers; ``weights`` fills one layer's (O, I).

    >>> spread = sizes(lambda w: torch.eye(len(w)) / 2, lambda x: x, draw=torch.Generator().manual_seed(0))
    >>> spread[1:4] / spread[0]
    tensor([0.5000, 0.2500, 0.1250])
    """
    x = torch.randn(256, WIDTH, generator=draw)
    found = [x.std()]
    for _ in range(DEPTH):
        x = activation(x @ weights(torch.empty(WIDTH, WIDTH)).T)
        found.append(x.std())
    return torch.stack(found)


def draw(axes: Any, weights: dict[str, Change], activation: Change, *, draw: torch.Generator) -> None:
    """Draw the signal's size over the depth, a line for each way to begin."""
    for (label, fill), colour in zip(weights.items(), COLOURS, strict=False):
        axes.semilogy(sizes(fill, activation, draw=draw), "o-", markersize=3, color=colour, label=label)
    axes.set(xlabel="layer", ylabel="standard deviation of the signal", title=f"{activation.__name__}, {WIDTH} units")
    axes.legend()
