"""How the numbers of a table are scaled: each way fitted on a sample, and written out in tensor operations."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

Numbers = Literal["standard", "robust", "quantile", "power", "none"]
FURTHEST = 5.199337582605575
"""Where `quantile` ends: the normal quantile of 1 - 1e-7, as in scikit-learn."""
POWER_ROWS = 50_000
"""Rows that the exponent of `power` is fitted to: more change it in the third digit only."""


def fit_robust(values: np.ndarray) -> tuple[float, float]:
    """Median and distance between the quartiles; half of the range where these are the same, else 1.

    >>> fit_robust(np.array([0.0, 1.0, 2.0, 3.0, 40.0]))
    (2.0, 2.0)
    >>> fit_robust(np.array([0.0, 0.0, 0.0, 0.0, 40.0]))
    (0.0, 20.0)
    """
    low, middle, high = np.percentile(values, [25, 50, 75])
    spread = high - low or (values.max() - values.min()) / 2
    return float(middle), float(spread if spread >= np.finfo(np.float32).tiny else 1.0)


def knot_count(n: int) -> int:
    """Quantiles that ``n`` rows bear: one for 30 rows, from 10 to 256.

    Source: Gorishniy et al., "Revisiting deep learning models for tabular data" (2021), code; they go up to 1000,
    which changes nothing that a network could tell, and makes a file of many columns large.
    """
    return int(np.clip(n // 30, 10, 256))


def edge_count(n: int) -> int:
    """Edges of the bins that ``n`` rows bear: one for 8 rows, from 3 to 49.

    Source: Gorishniy et al., "TabM" (2025), code: 48 bins by default.
    """
    return int(np.clip(n // 8, 3, 49))


def fit_quantiles(values: np.ndarray, count: int) -> np.ndarray:
    """So many evenly spaced quantiles, from the smallest value to the largest."""
    # Interpolation may leave equal values an ulp out of order.
    return np.maximum.accumulate(np.quantile(values, np.linspace(0, 1, count)))


def fit_power(values: np.ndarray) -> tuple[float, float, float]:
    """The exponent of Yeo and Johnson that makes values the most normal, then their mean and deviation.

    Args:
        values: standardised; far from 0, as years are, their powers would overflow.
    """
    from sklearn.preprocessing import PowerTransformer

    part = values[:: max(1, -(-len(values) // POWER_ROWS))]
    if np.ptp(part) == 0:
        return 1.0, 0.0, 1.0
    exponent = float(PowerTransformer(standardize=False).fit(part[:, None]).lambdas_[0])
    bent = yeo_johnson(torch.from_numpy(part), torch.tensor(exponent, dtype=torch.float64))
    std = float(bent.std(correction=0))
    return exponent, float(bent.mean()), std if std > np.finfo(np.float32).tiny else 1.0


def yeo_johnson(x: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """((1 + x)^λ - 1) / λ above zero, -((1 - x)^(2 - λ) - 1) / (2 - λ) below; the logarithm where a power is 0.

    Source: Yeo and Johnson, "A new family of power transformations to improve normality or symmetry" (2000).
    """
    power = torch.where(x < 0, 2 - exponent, exponent)
    log = x.abs().log1p()
    bent = torch.where(power.abs() < 1e-6, log, torch.expm1(power * log) / power)
    return torch.where(x < 0, -bent, bent)


def to_normal(x: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
    """Values to the standard normal distribution by their place among the quantiles of the training part.

    Between two knots the place is interpolated; a value that is several knots gets the middle of their places,
    but the smallest and the largest get the ends.

    Args:
        x: ``(..., D)``.
        knots: quantiles, ascending ``(D, Q)``.
    """
    flat = x.reshape(-1, x.shape[-1]).T.contiguous()
    last = knots.shape[1] - 1
    below, upto = torch.searchsorted(knots, flat), torch.searchsorted(knots, flat, right=True)
    right = below.clamp(1, last)
    a, b = knots.gather(1, right - 1), knots.gather(1, right)
    between = (right - 1) + ((flat - a) / (b - a)).clamp(0, 1)  # 0/0 where a = b: that is a hit
    place = torch.where(upto > below, (below + upto - 1) / 2, between) / last
    place = torch.where(flat <= knots[:, :1], 0, torch.where(flat >= knots[:, -1:], 1, place))
    # A constant column is all smallest and all largest: the middle.
    place = torch.where(knots[:, :1] == knots[:, -1:], 0.5, place)
    return torch.special.ndtri(place.to(x.dtype)).clamp(-FURTHEST, FURTHEST).T.reshape(x.shape)


def smooth_clip(x: torch.Tensor, bound: float) -> torch.Tensor:
    """x / sqrt(1 + (x / bound)²): near 0 as it is, and never beyond the bound.

    Source: Holzmüller, Grinsztajn and Steinwart, "Better by default" (2024), section 3 (RealMLP).
    """
    return x / (x / bound).square_().add_(1).sqrt_()
