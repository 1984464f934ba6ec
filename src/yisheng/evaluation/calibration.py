"""Calibration: confidence against accuracy, as in a reliability diagram."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.metrics.calibration_error import BINS, calibration_error, compute_reliability


def compute_calibration(y: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
    """Compute the expected calibration error and its bins; empty bins are left out.

    Args:
        y: class numbers ``(N,)``.
        prediction: probabilities ``(N, C)``.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017, section 2.

    >>> compute_calibration(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]))["bins"]
    [{'low': 0.7333333333333333, 'high': 0.8, 'confidence': 0.75, 'accuracy': 0.5, 'count': 2}]
    """
    diagram = compute_reliability(y, prediction)
    bins = [
        {
            "low": b / BINS,
            "high": (b + 1) / BINS,
            "confidence": float(diagram.confidence[b] / diagram.count[b]),
            "accuracy": float(diagram.correct[b] / diagram.count[b]),
            "count": int(diagram.count[b]),
        }
        for b in np.flatnonzero(diagram.count).tolist()
    ]
    return {"error": calibration_error(y, prediction), "bins": bins}
