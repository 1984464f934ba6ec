"""Scaling of a table's numbers: each method fitted on a sample, and applied with tensor operations.

scikit-learn has the same methods, but its transformers work on NumPy arrays on the CPU and cannot be exported with the
network. The tests compare both.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

NumberScaling = Literal["standard", "robust", "quantile", "power", "none"]
MAX_NORMAL = 5.199337582605575
"""Largest value of `map_to_normal`: the normal quantile of 1 - 1e-7, as in scikit-learn."""
MAX_POWER_ROWS = 50_000
"""Rows to which the exponent of `fit_power` is fitted: more change only its third digit."""


def fit_robust(values: np.ndarray) -> tuple[float, float]:
    """Return the median and the interquartile range; half of the full range if that is 0, else 1.

    >>> fit_robust(np.array([0.0, 1.0, 2.0, 3.0, 40.0]))
    (2.0, 2.0)
    >>> fit_robust(np.array([0.0, 0.0, 0.0, 0.0, 40.0]))
    (0.0, 20.0)
    """
    low, median, high = np.percentile(values, [25, 50, 75])
    scale = high - low or (values.max() - values.min()) / 2
    return float(median), float(scale if scale >= np.finfo(np.float32).tiny else 1.0)


def choose_knot_count(n: int) -> int:
    """Return the number of quantiles for ``n`` rows: one for 30 rows, from 10 to 256.

    Source: Gorishniy et al., "Revisiting deep learning models for tabular data" (2021), code; they go up to 1000,
    which a network could not distinguish, and which makes a large file for many columns.
    """
    return int(np.clip(n // 30, 10, 256))


def choose_edge_count(n: int) -> int:
    """Return the number of bin edges for ``n`` rows: one for 8 rows, from 3 to 49.

    Source: Gorishniy et al., "TabM" (2025), code: 48 bins by default.
    """
    return int(np.clip(n // 8, 3, 49))


def fit_quantiles(values: np.ndarray, count: int) -> np.ndarray:
    """Return evenly spaced quantiles, from the smallest value to the largest."""
    # Interpolation may leave equal values an ulp out of order.
    return np.maximum.accumulate(np.quantile(values, np.linspace(0, 1, count)))


def fit_power(values: np.ndarray) -> tuple[float, float, float]:
    """Return the Yeo-Johnson exponent that makes values most normal, and the mean and deviation of the result.

    Args:
        values: standardized values; the powers of values far from 0, such as years, would overflow.
    """
    from sklearn.preprocessing import PowerTransformer

    sample = values[:: max(1, -(-len(values) // MAX_POWER_ROWS))]
    if np.ptp(sample) == 0:
        return 1.0, 0.0, 1.0
    exponent = float(PowerTransformer(standardize=False).fit(sample[:, None]).lambdas_[0])
    transformed = yeo_johnson(torch.from_numpy(sample), torch.tensor(exponent, dtype=torch.float64))
    std = float(transformed.std(correction=0))
    return exponent, float(transformed.mean()), std if std > np.finfo(np.float32).tiny else 1.0


def yeo_johnson(x: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """Return ((1 + x)^λ - 1) / λ above zero, -((1 - x)^(2 - λ) - 1) / (2 - λ) below; a logarithm if a power is 0.

    Source: Yeo and Johnson, "A new family of power transformations to improve normality or symmetry" (2000).
    """
    power = torch.where(x < 0, 2 - exponent, exponent)
    log = x.abs().log1p()
    transformed = torch.where(power.abs() < 1e-6, log, torch.expm1(power * log) / power)
    return torch.where(x < 0, -transformed, transformed)


def map_to_normal(x: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
    """Map values to the standard normal distribution by their rank among the quantiles of the training part.

    Between two knots the rank is interpolated. A value that equals several knots gets the mean of their ranks; the
    smallest and the largest value get the ends.

    Args:
        x: values ``(..., D)``.
        knots: quantiles, ascending ``(D, Q)``.
    """
    flat = x.reshape(-1, x.shape[-1]).T.contiguous()
    last = knots.shape[1] - 1
    first_equal, after_equal = torch.searchsorted(knots, flat), torch.searchsorted(knots, flat, right=True)
    upper = first_equal.clamp(1, last)
    a, b = knots.gather(1, upper - 1), knots.gather(1, upper)
    between = (upper - 1) + ((flat - a) / (b - a)).clamp(0, 1)  # 0/0 if a = b: then the value equals a knot
    rank = torch.where(after_equal > first_equal, (first_equal + after_equal - 1) / 2, between) / last
    rank = torch.where(flat <= knots[:, :1], 0, torch.where(flat >= knots[:, -1:], 1, rank))
    # In a constant column every value is both the smallest and the largest: it gets the median.
    rank = torch.where(knots[:, :1] == knots[:, -1:], 0.5, rank)
    return torch.special.ndtri(rank.to(x.dtype)).clamp(-MAX_NORMAL, MAX_NORMAL).T.reshape(x.shape)


def smooth_clip(x: torch.Tensor, bound: float) -> torch.Tensor:
    """Return x / sqrt(1 + (x / bound)²): nearly x around 0, and never beyond the bound.

    Source: Holzmüller, Grinsztajn and Steinwart, "Better by default" (2024), section 3 (RealMLP).
    """
    return x / (x / bound).square_().add_(1).sqrt_()
