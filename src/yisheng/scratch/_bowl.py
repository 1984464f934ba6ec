"""A narrow bowl, and the path of an optimiser down it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
STEEPNESS = torch.tensor([0.2, 4.0])
START = torch.tensor([-5.0, -2.0])


def path(optimiser: Callable[..., Any], memories: int, *, steps: int, **options: Any) -> Tensor:
    """Where it goes from `START` on f(x, y) = 0.1 x² + 2 y², ``(steps + 1, 2)``.

    >>> from yisheng.scratch.sgd import sgd
    >>> path(sgd, 0, steps=1, lr=0.5)
    tensor([[-5.0000, -2.0000],
            [-4.5000,  2.0000]])
    """
    w, memory = START, (torch.zeros(2),) * memories
    places = [w]
    for t in range(1, steps + 1):
        w, memory = optimiser(w, STEEPNESS * w, memory, t, **options)
        places.append(w)
    return torch.stack(places)


def draw(
    axes: Any, optimiser: Callable[..., Any], memories: int = 0, *, steps: int, label: str, colour: str, **options: Any
) -> None:
    """Draw its path, and the bowl's contours where there are none yet."""
    if not axes.collections:
        x, y = torch.linspace(-6, 3, 91), torch.linspace(-3, 3, 61)
        height = 0.1 * x[None, :] ** 2 + 2 * y[:, None] ** 2
        axes.contour(x, y, height, levels=[0.05, 0.3, 1, 2.5, 5, 9, 14], colors="#c8c8c8", linewidths=0.8)
        axes.set(xlabel="x", ylabel="y", title="0.1 x² + 2 y²", xlim=(-6, 3), ylim=(-3, 3))
    places = path(optimiser, memories, steps=steps, **options)
    axes.plot(places[:, 0], places[:, 1], "o-", markersize=3, linewidth=1.2, color=colour, label=label)
    axes.legend(loc="upper right")
