"""Relative error of prices and other positive numbers."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds
from yisheng.metrics._errors import errors, root_mean_square, root_mean_square_interval


def _log_errors(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    log_y, log_prediction = (np.log(np.clip(values, 1, None).astype(np.float64)) for values in (y, prediction))
    return errors(log_y, log_prediction)


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return root_mean_square_interval(_log_errors(y, prediction))


@register(
    fits=lambda spec: spec.task == "regression",
    wants="a number as its target",
    higher=False,
    reported=lambda spec: spec.task == "regression",
    interval=_interval,
)
def log_rmse(y: np.ndarray, prediction: np.ndarray) -> float:
    """Root mean squared error of the logarithms: sqrt(mean of (log max(y', 1) - log max(y, 1))²).

    0.1 is an error of about 10%, of a cheap house as of a dear one. Targets and predictions below 1 count as 1,
    which keeps a negative price from ruining the score; where no target is above 1 it says nothing and is NaN.

    Source: Zhang, Lipton, Li and Smola, "Dive into Deep Learning", section 5.7 (house prices).

    >>> round(log_rmse(np.array([[100.0], [200.0]]), np.array([[110.0], [220.0]])), 4)
    0.0953
    """
    return root_mean_square(_log_errors(y, prediction)) if (y > 1).any() else float("nan")
