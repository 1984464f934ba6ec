"""Errors of predicted numbers, and their root mean square."""

from __future__ import annotations

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.metrics.bootstrap import Bounds, compute_percentile_interval, resample_means


def compute_errors(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return ``prediction - y`` ``(N, T)`` in float64: squares of prices need more digits than float32 has.

    Raises:
        DataError: the shapes differ; broadcasting would make ``(N, N)`` of them.
    """
    if prediction.shape != y.shape:
        raise DataError(
            Message(
                "predictions and targets must have one shape (N, T), got {shape} and {target_shape}",
                shape=prediction.shape,
                target_shape=y.shape,
            ),
            Message("give one column per target, even if there is only one: y.reshape(-1, 1)"),
        )
    return np.subtract(prediction, y, dtype=np.float64)


def compute_rms(values: np.ndarray) -> float:
    """Return sqrt(mean of e²) of each column of ``(N, T)``, averaged over the columns."""
    return float(np.sqrt((values**2).mean(axis=0)).mean()) if len(values) else float("nan")


def compute_rms_interval(values: np.ndarray) -> Bounds:
    """Return the 95% interval of `compute_rms` by the bootstrap over rows."""
    scale = np.abs(values).max(axis=0, initial=0.0)
    scale[scale == 0] = 1.0
    means = resample_means((values / scale) ** 2)
    return compute_percentile_interval((np.sqrt(means) * scale).mean(axis=1), len(values))
