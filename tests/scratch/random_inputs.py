"""Random inputs of the equivalence cases, in float64."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def draw_normal(rng: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def draw_int(rng: Generator, low: int, high: int) -> int:
    """Draw an integer from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


def draw_fraction(rng: Generator) -> float:
    return float(torch.rand((), generator=rng))


def draw_wide(rng: Generator, *shape: int) -> Tensor:
    """Draw numbers of all sizes up to thousands; some are zero or equal."""
    x = draw_normal(rng, *shape) * 10.0 ** torch.randint(-2, 4, shape, generator=rng)
    return torch.where(torch.rand(shape, generator=rng) < 0.2, x.sign().clamp(min=0), x)


def draw_classes(rng: Generator, count: int, *shape: int) -> Tensor:
    return torch.randint(count, shape, generator=rng)
