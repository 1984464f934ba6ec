"""Whether a confidence of 80% is right in 80% of the cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import RESAMPLES, SEED, Bounds, percentiles, resampled_means
from yisheng.metrics._counts import predicted_class

BINS = 15
"""As in the source."""


@dataclass(frozen=True)
class Reliability:
    """Rows by confidence: of each bin ``(15,)`` their number, the sum of their confidence, and how many are right.

    Bin b holds the rows with a confidence above b/15 and up to (b + 1)/15.
    """

    count: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


def reliability(y: np.ndarray, prediction: np.ndarray) -> Reliability:
    """Rows binned by the probability of their predicted class."""
    bins, confidence, right = _binned(y, prediction)
    return Reliability(
        np.bincount(bins, minlength=BINS),
        np.bincount(bins, confidence, minlength=BINS),
        np.bincount(bins, right, minlength=BINS).astype(np.int64),
    )


def _binned(y: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    said = predicted_class(prediction)
    confidence = np.minimum(prediction[np.arange(len(y)), said].astype(np.float64), 1.0)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return bins, confidence, said == y


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """The basic bootstrap interval: resampled values lie above the value as it lies above the truth.

    It begins at 0 where a model without any calibration error would show as much in 2.5% of such samples: there
    the rights of a bin are a sum of coins that fall as often as the confidences say, about normal.

    Sources: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 5.2; Bröcker and Smith,
    "Increasing the reliability of reliability diagrams", Weather and Forecasting 22, 2007 (the coins).
    """
    bins, confidence, right = _binned(y, prediction)
    rows = np.zeros((len(y), BINS), np.float32)
    rows[np.arange(len(y)), bins] = right - confidence
    low, high = percentiles(np.abs(resampled_means(rows)).sum(axis=1), len(y))
    value = calibration_error(y, prediction)
    spread = np.sqrt(np.bincount(bins, confidence * (1 - confidence), minlength=BINS)) / max(len(y), 1)
    coins = np.abs(np.random.default_rng(SEED).normal(size=(RESAMPLES, BINS)) * spread).sum(axis=1)
    least = 0.0 if value <= np.quantile(coins, 0.975) else max(0.0, 2 * value - high)
    return least, min(1.0, 2 * value - low)


@register(
    fits=lambda spec: spec.task == "classification",
    wants="classes",
    higher=False,
    reported=lambda spec: spec.task == "classification",
    interval=_interval,
)
def calibration_error(y: np.ndarray, prediction: np.ndarray) -> float:
    """Expected calibration error: mean over 15 bins of abs(accuracy - confidence), weighted by their rows.

    The confidence is the probability of the predicted class. Few rows make the error look larger than it is.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017, section 2.

    >>> round(calibration_error(np.array([0, 0, 0, 1]), np.tile([0.9, 0.1], (4, 1))), 3)
    0.15
    """
    found = reliability(y, prediction)
    return float(np.abs(found.right - found.confidence).sum() / len(y)) if len(y) else float("nan")
