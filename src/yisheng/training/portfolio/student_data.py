"""What a student of an ensemble is trained on: altered rows, and predictions as targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec

SWAP_FRACTIONS = (0.05, 0.3)
"""Range of the fraction of a row's values that are swapped with those of another row."""
MIN_PROBABILITY = 2e-3
"""Probabilities are imitated as logits, of which the largest would otherwise count most."""


def swap_values(x: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return altered copies of random rows: a random fraction of the values of each are those of another row.

    >>> altered = swap_values(np.array([[0.0, 0.0], [1.0, 1.0]]), 4, np.random.default_rng(0))
    >>> altered.shape, set(altered.ravel().tolist()) <= {0.0, 1.0}
    ((4, 2), True)
    """
    sources, donors = rng.integers(0, len(x), (2, count))
    fraction = rng.uniform(*SWAP_FRACTIONS, (count, 1))
    is_swapped = rng.random((count, x.shape[1])) < fraction
    return np.where(is_swapped, x[donors], x[sources]).astype(x.dtype)


def make_student_data(spec: Spec, x: np.ndarray, prediction: np.ndarray) -> Dataset:
    """Return rows whose targets are a teacher's predictions: numbers, or logits of its probabilities.

    Args:
        spec: the contract of the ensemble's inputs.
        x: rows ``(n, D)``.
        prediction: ``(n, V)``; rows with NaN get 0 and must not be trained on.
    """
    if spec.task == "regression":
        y = prediction
    else:
        p = prediction.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
        if spec.task == "multilabel":
            y = np.log(p / (1 - p))
        else:
            logits = np.log(p)
            centered = logits - logits.mean(1, keepdims=True)
            y = logits[:, 1:] - logits[:, :1] if spec.outputs == 1 else centered
    inputs = replace(spec, task="regression", classes=(), outputs=y.shape[1], target_columns=(), label_forms=())
    return Dataset("student", inputs, x, np.nan_to_num(y).astype(np.float32))
