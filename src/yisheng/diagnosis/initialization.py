"""Recognize weights that no training has changed yet."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

MIN_VALUES = 16
"""Values of a weight below which its distribution says nothing."""
UNIFORM_KURTOSIS = 1.8
"""Fourth moment over the squared variance of a uniform distribution, as torch initializes by; a normal one has 3."""
MAX_BLOCK, MIN_BLOCK, MAX_WEIGHTS = 128, 8, 4
"""Rows and columns of a weight, at most and at least, and weights that are examined for structure."""
MIN_EXCESS = 1.25
"""Largest singular value over that of independent random values, above which a weight has structure: of 1,200
random blocks of 8 x 8 to 256 x 32 none had more than 1.11, and trained layers have 1.3 to 1.8."""


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


@torch.no_grad()
def have_structure(weights: Iterable[torch.Tensor]) -> bool:
    """Return whether some weights have been trained: the values of one of them depend on one another.

    The largest singular value of an n x m matrix of independent values with standard deviation s is near
    s (sqrt(n) + sqrt(m)); training adds larger ones. Orthogonal and scaled random weights have none.

    Args:
        weights: of a network; a few of those with two or more axes are examined.

    Source: Martin and Mahoney, "Implicit self-regularization in deep neural networks", 2021, section 4.

    >>> _ = torch.manual_seed(0)
    >>> random, trained = torch.randn(32, 64), torch.outer(torch.randn(32), torch.randn(64))
    >>> have_structure([random]), have_structure([random + trained])
    (False, True)
    """
    matrices = [p for p in weights if p.ndim > 1 and min(len(p), p[0].numel()) >= MIN_BLOCK and p.is_floating_point()]
    interval = max(1, len(matrices) // MAX_WEIGHTS)
    return any(_excess(p) > MIN_EXCESS for p in matrices[::-1][::interval][:MAX_WEIGHTS])


def are_random(weights: Iterable[torch.Tensor]) -> bool:
    """Return whether the values of all weights are independent, by whatever distribution; False for small weights.

    Orthogonal weights count as well: their singular values are equal.

    >>> _ = torch.manual_seed(0)
    >>> random, trained = torch.randn(32, 64), torch.outer(torch.randn(32), torch.randn(64))
    >>> are_random([random]), are_random([random + trained]), are_random([torch.randn(2, 3)])
    (True, False, False)
    """
    matrices = [p for p in weights if p.ndim > 1 and p.is_floating_point()]
    can_tell = any(min(len(p), p[0].numel()) >= MIN_BLOCK and _excess(p) > 0 for p in matrices)
    return can_tell and not have_structure(matrices)


def _excess(weight: torch.Tensor) -> float:
    """Return the largest singular value of a block relative to that of independent values; 0 for equal values."""
    block = weight.detach().flatten(1)[:MAX_BLOCK, :MAX_BLOCK].float().cpu()
    std = float(block.std())
    if not std > 1e-6 * float(block.abs().max()) or not bool(torch.isfinite(block).all()):
        return 0.0
    edge = std * (math.sqrt(block.shape[0]) + math.sqrt(block.shape[1]))
    return float(torch.linalg.matrix_norm(block - block.mean(), 2)) / edge
