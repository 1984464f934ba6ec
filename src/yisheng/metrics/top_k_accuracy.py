"""Accuracy of the k most probable classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from yisheng.core.registry import Variant, register
from yisheng.metrics.bootstrap import Bounds
from yisheng.metrics.wilson import compute_wilson_interval


def _make_interval(k: int) -> Callable[[np.ndarray, np.ndarray], Bounds]:
    return lambda y, prediction: compute_wilson_interval(_is_in_top_k(y, prediction, k))


@register(
    variants={
        "top-3-accuracy": Variant(
            {"k": 3},
            meta={
                "fits": lambda spec: spec.task == "classification" and len(spec.classes) > 3,
                "requires": "more than 3 classes",
                "interval": _make_interval(3),
            },
        ),
        "top-5-accuracy": Variant(
            {"k": 5},
            meta={
                "fits": lambda spec: spec.task == "classification" and len(spec.classes) > 5,
                "requires": "more than 5 classes",
                "reported": lambda spec: spec.task == "classification" and len(spec.classes) >= 10,
                "interval": _make_interval(5),
            },
        ),
    },
)
def top_k_accuracy(y: np.ndarray, prediction: np.ndarray, *, k: int = 5) -> float:
    """Compute the fraction of rows whose class is among the k most probable.

    Of equally probable classes the first comes first. The interval is Wilson's.

    Variants:
        top-3-accuracy: fraction of rows whose class is among the 3 most probable.
        top-5-accuracy: fraction of rows whose class is among the 5 most probable.

    Args:
        k: number of classes; with 1 it is the accuracy.

    Source: Russakovsky et al., "ImageNet large scale visual recognition challenge", 2015, section 4.

    >>> top_k_accuracy(np.array([0, 9]), np.tile(np.arange(10.0) / 45, (2, 1)), k=5)
    0.5
    """
    return float(_is_in_top_k(y, prediction, k).mean()) if len(y) else float("nan")


def _is_in_top_k(y: np.ndarray, prediction: np.ndarray, k: int) -> np.ndarray:
    """Return whether fewer than k classes come before the true one, ``(N,)``."""
    true = prediction[np.arange(len(y)), y][:, None]
    earlier_ties = (prediction == true) & (np.arange(prediction.shape[1]) < y[:, None])
    return ((prediction > true) | earlier_ties).sum(axis=1) < k
