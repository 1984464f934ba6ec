"""Functions of one number, drawn with their slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from yisheng.scratch._bowl import COLOURS

Curve = Callable[[Tensor], Tensor]


def slope(curve: Curve, x: Tensor) -> Tensor:
    """Derivative of an elementwise function at each x, by autograd.

    >>> slope(lambda x: x * x, torch.tensor([1.0, 3.0]))
    tensor([2., 6.])
    """
    x = x.detach().requires_grad_()
    return torch.autograd.grad(curve(x).sum(), x)[0]


def draw(axes: Any, curves: dict[str, Curve], *, low: float, high: float, xlabel: str, ylabel: str = "") -> None:
    """Draw curves over one interval, solid."""
    x = torch.linspace(low, high, 301, dtype=torch.float64)
    for (label, curve), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(x, curve(x), color=colour, label=label)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()


def draw_with_slope(axes: Any, curve: Curve, *, label: str, low: float = -5, high: float = 5, xlabel: str) -> None:
    """Draw one curve, and its derivative dashed."""
    x = torch.linspace(low, high, 301, dtype=torch.float64)
    axes.plot(x, curve(x), color=COLOURS[0], label=label)
    axes.plot(x, slope(curve, x), "--", color=COLOURS[1], label="its derivative")
    axes.set(xlabel=xlabel)
    axes.legend()
