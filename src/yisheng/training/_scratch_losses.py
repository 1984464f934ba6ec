"""From-scratch forms of the registered losses, with the same options, built from the functions of `yisheng.scratch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yisheng.core.spec import Spec
from yisheng.losses.binary_cross_entropy import compute_pos_weights, select_second_class
from yisheng.losses.cross_entropy import compute_class_weights, require_classes
from yisheng.losses.output_weights import OutputWeights
from yisheng.losses.shapes import require_same_shape
from yisheng.scratch.absolute_loss import absolute_loss
from yisheng.scratch.binary_cross_entropy import binary_cross_entropy
from yisheng.scratch.cross_entropy import cross_entropy
from yisheng.scratch.huber_loss import huber_loss
from yisheng.scratch.log_sum_exp import log_sum_exp
from yisheng.scratch.one_hot import one_hot
from yisheng.scratch.squared_loss import squared_loss
from yisheng.training.loop import Loss


def _mean_over_targets(elementwise_loss: Callable[..., Tensor]) -> Callable[..., Loss]:
    """Make a loss with one value per sample from an elementwise one: the mean over the targets of a sample."""

    def build(_spec: Spec, _y: np.ndarray, **options: Any) -> Loss:
        def loss(output: Tensor, y: Tensor) -> Tensor:
            require_same_shape(output, y)
            return elementwise_loss(output, y, **options).mean(dim=1)

        return loss

    return build


def _cross_entropy(
    spec: Spec, y: np.ndarray, *, smoothing: float = 0.0, class_weight: str | tuple[float, ...] | None = None
) -> Loss:
    class_weight_or_ones = (1.0,) * len(spec.classes) if class_weight is None else class_weight
    weights = OutputWeights(compute_class_weights(spec, y, class_weight_or_ones))
    is_plain = class_weight is None and not smoothing

    def loss(output: Tensor, y: Tensor) -> Tensor:
        require_classes(output, y)
        if is_plain and y.ndim == 1:
            return cross_entropy(output, y)
        classes = output.shape[1]
        target = (one_hot(y, classes) if y.ndim == 1 else y).to(output.dtype)
        target = target * (1 - smoothing) + smoothing / classes
        negative_log_softmax = log_sum_exp(output)[:, None] - output
        return (weights.to_match(output) * target * negative_log_softmax).sum(dim=1)

    return loss


def _binary_cross_entropy(spec: Spec, y: np.ndarray, *, smoothing: float = 0.0, pos_weight: str | float = 1.0) -> Loss:
    one_unit = spec.task == "classification"
    labels = y if y.ndim == 1 else y[:, 1:] if one_unit else y
    weights = None if pos_weight == 1.0 else OutputWeights(compute_pos_weights(labels, pos_weight))

    def loss(output: Tensor, y: Tensor) -> Tensor:
        target = (select_second_class(output, y) if one_unit else y).to(output.dtype)
        require_same_shape(output, target)
        target = target * (1 - smoothing) + smoothing / 2
        if weights is None:
            return binary_cross_entropy(output, target).mean(dim=1)
        positive = binary_cross_entropy(output, torch.ones_like(output))
        negative = binary_cross_entropy(output, torch.zeros_like(output))
        return (weights.to_match(output) * target * positive + (1 - target) * negative).mean(dim=1)

    return loss


LOSSES: Mapping[str, Callable[..., Loss]] = {
    "mse": _mean_over_targets(lambda output, y: 2 * squared_loss(output, y)),
    "half-mse": _mean_over_targets(squared_loss),
    "l1": _mean_over_targets(absolute_loss),
    "huber": _mean_over_targets(huber_loss),
    "cross-entropy": _cross_entropy,
    "binary-cross-entropy": _binary_cross_entropy,
}
"""Registered loss -> ``f(spec, y, **options) -> loss``."""
