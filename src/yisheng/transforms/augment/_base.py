"""The type of an augmentation, the types of its options, and the random draws that most of them need."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Interval

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

Augment = Callable[[torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
"""``augment(x, y, generator) -> (x, y)``; see the package's docstring."""

Probability = Annotated[float, Interval(ge=0, le=1)]
Fraction = Annotated[float, Interval(gt=0, le=1)]
Ratio = Annotated[float, Interval(gt=0, lt=1e3)]
Factor = Annotated[float, Interval(ge=0, lt=math.inf)]


def check_range(name: str, limits: tuple[float, float]) -> None:
    """Check that the two ends of a range are in order.

    Raises:
        UsageError: they are not.
    """
    low, high = limits
    if low > high:
        raise UsageError(
            Message(
                "{name} must go from small to large, got {low},{high}", name=name, low=f"{low:g}", high=f"{high:g}"
            ),
            Message("use {name}={high},{low}", name=name, high=f"{high:g}", low=f"{low:g}"),
        )


def choose_samples(count: int, p: float, generator: torch.Generator) -> torch.Tensor:
    """Return the indices of the samples chosen with probability ``p`` each, int64, on the CPU."""
    return (torch.rand(count, generator=generator) < p).nonzero()[:, 0]


def draw_uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Return uniformly distributed numbers in ``[low, high)``, float64, on the CPU."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def expand_per_sample(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return one number per sample ``(B,)`` in a shape that broadcasts to samples ``(B, ...)``, on their device."""
    return values.to(x.device, torch.float32).view(-1, *[1] * (x.ndim - 1))
