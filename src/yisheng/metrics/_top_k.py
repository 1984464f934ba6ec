"""Rows whose class is among the k most probable."""

from __future__ import annotations

import numpy as np


def among_top(y: np.ndarray, prediction: np.ndarray, k: int) -> np.ndarray:
    """Whether fewer than k classes come before the true one ``(N,)``.

    Of equally probable classes the first comes first, so that k = 1 is the accuracy.
    """
    true = prediction[np.arange(len(y)), y][:, None]
    ties_before = (prediction == true) & (np.arange(prediction.shape[1]) < y[:, None])
    return ((prediction > true) | ties_before).sum(axis=1) < k
