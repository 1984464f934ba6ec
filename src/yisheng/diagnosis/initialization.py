"""Recognize weights that no training has changed yet."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

MIN_VALUES = 16
"""Values of a weight below which its distribution says nothing."""
UNIFORM_KURTOSIS = 1.8


def is_freshly_initialized(weight: torch.Tensor) -> bool:
    """Return whether a weight is distributed as torch's layers initialize it: uniformly between two bounds.

    >>> _ = torch.manual_seed(0)
    >>> layer = torch.nn.Linear(64, 64)
    >>> is_freshly_initialized(layer.weight), is_freshly_initialized(layer.weight + 0.02 * torch.randn(64, 64))
    (True, False)
    """
    values = weight.detach().double().flatten()
    if weight.ndim < 2 or len(values) < MIN_VALUES:
        return False
    if not bool((values != values[0]).any()):
        return True
    default_bound = weight[0].numel() ** -0.5  # of nn.Linear and the convolutions
    if 0.9 * default_bound < float(values.abs().max()) <= default_bound * (1 + 1e-6) and (
        float(values.std()) > 0.45 * default_bound
    ):
        return True
    bound = math.sqrt(3) * float(values.square().mean().sqrt())  # of a uniform distribution with this variance
    kurtosis = float(values.pow(4).mean() / values.square().mean() ** 2)
    noise = 3 / math.sqrt(len(values))
    is_bounded = float(values.abs().max()) < bound * (1.02 + noise / 3)
    return is_bounded and abs(kurtosis - UNIFORM_KURTOSIS) < 0.05 + noise


def are_untrained(weights: Iterable[torch.Tensor]) -> bool:
    """Return whether most values of these weights are as torch's layers initialize them."""
    matrices = [weight for weight in weights if weight.ndim > 1]
    return sum(p.numel() for p in matrices if is_freshly_initialized(p)) > sum(p.numel() for p in matrices) / 2
