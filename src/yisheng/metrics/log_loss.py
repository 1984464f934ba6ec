"""Cross-entropy of predicted probabilities."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics.bootstrap import Bounds, compute_mean_interval
from yisheng.metrics.row_statistic import RowStatistic


def _losses(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the loss of each row ``(N,)``, in nats."""
    epsilon = np.finfo(prediction.dtype).eps
    if y.ndim == 1:
        return -np.log(np.clip(prediction[np.arange(len(y)), y], epsilon, None).astype(np.float64))
    probability = np.where(y > 0.5, prediction, 1 - prediction)
    return -np.log(np.clip(probability, epsilon, None).astype(np.float64)).mean(axis=1)


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return compute_mean_interval(_losses(y, prediction))


STATISTIC = RowStatistic(_losses)


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    requires="classes or labels",
    higher=False,
    reported=lambda spec: spec.task in ("classification", "multilabel"),
    interval=_interval,
    rows=STATISTIC,
)
def log_loss(y: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the cross-entropy: mean of -log of the probability that was given to the true class, in nats.

    Over labels it is the mean of their binary losses. Probabilities below the floating type's epsilon
    (1.2e-7 in float32) count as that, so that a confident mistake has a large but finite loss.

    Source: Good, "Rational decisions", Journal of the Royal Statistical Society B 14, 1952.

    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.2, 0.8]])), 3)
    0.458
    """
    return STATISTIC.compute(y, prediction)
