"""What every augmentation is, and what most of them draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Interval

from yisheng.core.errors import UsageError

Augment = Callable[[torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
"""``change(x, y, draw) -> (x, y)``; see the kind's text."""

Probability = Annotated[float, Interval(ge=0, le=1)]
Fraction = Annotated[float, Interval(gt=0, le=1)]
Ratio = Annotated[float, Interval(gt=0, lt=1e3)]
Factor = Annotated[float, Interval(ge=0, lt=math.inf)]


def require_order(name: str, pair: tuple[float, float]) -> None:
    """The two ends of a range must be in order.

    Raises:
        UsageError: they are not.
    """
    low, high = pair
    if low > high:
        raise UsageError(f"{name} must go from small to large, got {low:g},{high:g}", f"say {name}={high:g},{low:g}")


def chosen(count: int, p: float, draw: torch.Generator) -> torch.Tensor:
    """The numbers of the samples that a chance of ``p`` falls on, int64, on the CPU."""
    return (torch.rand(count, generator=draw) < p).nonzero()[:, 0]


def uniform(shape: tuple[int, ...], low: float, high: float, draw: torch.Generator) -> torch.Tensor:
    """Evenly distributed numbers of ``[low, high)``, float64, on the CPU."""
    return low + (high - low) * torch.rand(shape, generator=draw, dtype=torch.float64)


def beside(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """One number per sample ``(B,)`` as what broadcasts against float32 samples ``(B, ...)`` on their device."""
    return values.to(x.device, torch.float32).view(-1, *[1] * (x.ndim - 1))
