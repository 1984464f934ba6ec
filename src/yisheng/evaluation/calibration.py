"""Confidence against accuracy, as a reliability diagram shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.metrics.calibration_error import BINS, calibration_error, reliability


def calibration(y: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
    """The expected calibration error and the bins it is made of; bins without rows are left out.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017, section 2.

    >>> calibration(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]))["bins"]
    [{'low': 0.7333333333333333, 'high': 0.8, 'confidence': 0.75, 'accuracy': 0.5, 'count': 2}]
    """
    found = reliability(y, prediction)
    bins = [
        {
            "low": b / BINS,
            "high": (b + 1) / BINS,
            "confidence": float(found.confidence[b] / found.count[b]),
            "accuracy": float(found.right[b] / found.count[b]),
            "count": int(found.count[b]),
        }
        for b in np.flatnonzero(found.count).tolist()
    ]
    return {"error": calibration_error(y, prediction), "bins": bins}
