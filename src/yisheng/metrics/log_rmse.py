"""Relative error of prices and other positive numbers."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._regression_errors import compute_errors, compute_rms, compute_rms_interval
from yisheng.metrics.bootstrap import Bounds


def _log_errors(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    log_y, log_prediction = (np.log(np.clip(values, 1, None).astype(np.float64)) for values in (y, prediction))
    return compute_errors(log_y, log_prediction)


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return compute_rms_interval(_log_errors(y, prediction))


@register(
    fits=lambda spec: spec.task == "regression",
    requires="a number as its target",
    higher=False,
    reported=lambda spec: spec.task == "regression" and spec.outputs == 1,
    interval=_interval,
)
def log_rmse(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the root mean squared error of the logarithms: sqrt(mean of (log max(y', 1) - log max(y, 1))²).

    0.1 is an error of about 10%, of a cheap house as of an expensive one. Targets and predictions below 1 count as 1,
    which keeps a negative price from ruining the score; if no target is above 1, the score is NaN.

    Source: Zhang, Lipton, Li and Smola, "Dive into Deep Learning", section 5.7 (house prices).

    >>> round(log_rmse(np.array([[100.0], [200.0]]), np.array([[110.0], [220.0]])), 4)
    0.0953
    """
    return compute_rms(_log_errors(y, prediction)) if (y > 1).any() else float("nan")
