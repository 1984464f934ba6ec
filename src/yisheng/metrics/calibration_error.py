"""Calibration: whether predictions with a confidence of 80% are correct in 80% of the cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics.bootstrap import RESAMPLES, SEED, Bounds, compute_percentile_interval, resample_means
from yisheng.metrics.class_counts import predict_class

BINS = 15
"""As in the source."""


@dataclass(frozen=True)
class Reliability:
    """Rows binned by confidence: of each bin ``(15,)`` the rows, the sum of their confidence, and the correct ones.

    Bin b holds the rows with a confidence above b/15 and up to (b + 1)/15.
    """

    count: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray


def compute_reliability(y: np.ndarray, prediction: np.ndarray) -> Reliability:
    """Bin the rows by the probability of their predicted class."""
    bins, confidence, correct = _assign_bins(y, prediction)
    return Reliability(
        np.bincount(bins, minlength=BINS),
        np.bincount(bins, confidence, minlength=BINS),
        np.bincount(bins, correct, minlength=BINS).astype(np.int64),
    )


def _assign_bins(y: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bin, the confidence and the correctness of each row."""
    predicted = predict_class(prediction)
    confidence = np.minimum(prediction[np.arange(len(y)), predicted].astype(np.float64), 1.0)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return bins, confidence, predicted == y


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """Return the basic bootstrap interval: resampled values exceed the value as the value exceeds the truth.

    It begins at 0 if a model without any calibration error would show as large a value in 2.5% of such samples: the
    correct rows of a bin are then a sum of coin tosses with the confidences as probabilities, and about normal.

    Sources: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 5.2; Bröcker and Smith,
    "Increasing the reliability of reliability diagrams", Weather and Forecasting 22, 2007 (the coin tosses).
    """
    bins, confidence, correct = _assign_bins(y, prediction)
    rows = np.zeros((len(y), BINS), np.float32)
    rows[np.arange(len(y)), bins] = correct - confidence
    low, high = compute_percentile_interval(np.abs(resample_means(rows)).sum(axis=1), len(y))
    value = calibration_error(y, prediction)
    std = np.sqrt(np.bincount(bins, confidence * (1 - confidence), minlength=BINS)) / max(len(y), 1)
    calibrated = np.abs(np.random.default_rng(SEED).normal(size=(RESAMPLES, BINS)) * std).sum(axis=1)
    lower = 0.0 if value <= np.quantile(calibrated, 0.975) else max(0.0, 2 * value - high)
    return lower, min(1.0, 2 * value - low)


@register(
    fits=lambda spec: spec.task == "classification",
    requires="classes",
    higher=False,
    reported=lambda spec: spec.task == "classification",
    interval=_interval,
)
def calibration_error(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the expected calibration error: mean over 15 bins of abs(accuracy - confidence), weighted by rows.

    The confidence is the probability of the predicted class. With few rows the error is biased upwards.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017, section 2.

    >>> round(calibration_error(np.array([0, 0, 0, 1]), np.tile([0.9, 0.1], (4, 1))), 3)
    0.15
    """
    reliability = compute_reliability(y, prediction)
    return float(np.abs(reliability.correct - reliability.confidence).sum() / len(y)) if len(y) else float("nan")
