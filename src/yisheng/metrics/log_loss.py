"""How surprised the probabilities are by the truth."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds, mean_interval


def _surprise(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Loss of each row ``(N,)``, in nats."""
    least = np.finfo(prediction.dtype).eps
    if y.ndim == 1:
        return -np.log(np.clip(prediction[np.arange(len(y)), y], least, None).astype(np.float64))
    true = np.where(y > 0.5, prediction, 1 - prediction)
    return -np.log(np.clip(true, least, None).astype(np.float64)).mean(axis=1)


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return mean_interval(_surprise(y, prediction))


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    higher=False,
    reported=lambda spec: spec.task in ("classification", "multilabel"),
    interval=_interval,
)
def log_loss(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean of -log of the probability that the true class was given, in nats: the cross-entropy.

    Over labels it is the mean of their binary losses. Probabilities below the floating type's epsilon
    (1.2e-7 in float32) count as that, so that one wrong certainty is dear but not infinite.

    Source: Good, "Rational decisions", Journal of the Royal Statistical Society B 14, 1952.

    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.2, 0.8]])), 3)
    0.458
    """
    return float(_surprise(y, prediction).mean()) if len(y) else float("nan")
