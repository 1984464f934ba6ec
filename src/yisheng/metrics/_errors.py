"""Errors of numbers."""

from __future__ import annotations

import numpy as np

from yisheng.core.errors import DataError
from yisheng.metrics._bootstrap import Bounds, percentiles, resampled_means


def errors(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """``prediction - y`` in float64, ``(N, T)``: squares of prices are beyond float32's digits.

    Raises:
        DataError: the shapes differ, and would be stretched to ``(N, N)``.
    """
    if prediction.shape != y.shape:
        raise DataError(
            f"predictions and targets must have one shape (N, T), got {prediction.shape} and {y.shape}",
            "give one column per target, also where there is only one: y.reshape(-1, 1)",
        )
    return np.subtract(prediction, y, dtype=np.float64)


def root_mean_square(values: np.ndarray) -> float:
    """sqrt(mean of e²) of each column ``(N, T)``, averaged over the columns."""
    return float(np.sqrt((values**2).mean(axis=0)).mean()) if len(values) else float("nan")


def root_mean_square_interval(values: np.ndarray) -> Bounds:
    """95% interval of `root_mean_square` by the bootstrap over rows."""
    scale = np.abs(values).max(axis=0, initial=0.0)
    scale[scale == 0] = 1.0
    means = resampled_means((values / scale) ** 2)
    return percentiles((np.sqrt(means) * scale).mean(axis=1), len(values))
