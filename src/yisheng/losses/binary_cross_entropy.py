"""Binary cross-entropy on logits."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval
from torch.nn import functional as F

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.losses.output_weights import OutputWeights
from yisheng.losses.shapes import Loss, require_same_shape


def _is_binary(spec: Spec) -> bool:
    return spec.task == "multilabel" or (spec.task == "classification" and len(spec.classes) == 2)


@register(
    fits=_is_binary,
    default_for=_is_binary,
    outputs=lambda spec: 1 if spec.task == "classification" else len(spec.classes),
    requires="two classes, or labels",
)
def binary_cross_entropy(
    spec: Spec,
    y: np.ndarray,
    *,
    smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    pos_weight: Literal["balanced"] | Annotated[float, Interval(gt=0, lt=math.inf)] = 1.0,
) -> Loss:
    """Compute the binary cross-entropy of p = sigmoid(output): -w y log p - (1 - y) log(1 - p), a mean over the labels.

    On two classes the model has one output unit, the logit of the second class: `linear` is then logistic
    regression. It equals `cross-entropy` on two units whose difference is this unit.

    Args:
        smoothing: the target becomes y (1 - s) + s/2; 0 does not change it, 0.1 is usual.
        pos_weight: weight w of the second class, or of every true label; balanced is the ratio of false to true
            in the training part, for each label. 1 weights all rows alike.

    Raises:
        DataError: (from the loss) the shapes of outputs and targets do not fit.

    Source: Cox, "The regression analysis of binary sequences", 1958.

    >>> loss = binary_cross_entropy(Spec("classification", (4,), classes=("no", "yes")), np.array([0, 1]))
    >>> loss(torch.zeros(2, 1), torch.tensor([0, 1]))
    tensor([0.6931, 0.6931])
    """
    has_one_unit = spec.task == "classification"
    labels = y if y.ndim == 1 else y[:, 1:] if has_one_unit else y
    weights = None if pos_weight == 1.0 else OutputWeights(compute_pos_weights(labels, pos_weight))

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        target = (select_second_class(output, y) if has_one_unit else y).to(output.dtype)
        require_same_shape(output, target)
        if smoothing:
            target = target * (1 - smoothing) + smoothing / 2
        weight = None if weights is None else weights.to_match(output)
        return F.binary_cross_entropy_with_logits(output, target, pos_weight=weight, reduction="none").mean(dim=1)

    return loss


def select_second_class(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return targets ``(B, 1)`` from class numbers ``(B,)`` or soft labels ``(B, 2)``."""
    if output.shape[1:] != (1,) or y.shape not in (output.shape[:1], (len(output), 2)):
        raise DataError(
            Message(
                "binary cross-entropy on two classes needs outputs (B, 1) and class numbers (B,), got "
                "outputs {output_shape} and targets {target_shape}",
                output_shape=tuple(output.shape),
                target_shape=tuple(y.shape),
            ),
            Message("use a model with one output unit, or loss=cross-entropy"),
        )
    return (y if y.ndim == 1 else y[:, 1])[:, None]


def compute_pos_weights(y: np.ndarray, pos_weight: str | float) -> torch.Tensor:
    """Return weights ``(1,)`` or ``(L,)``; a label that is always false (or true) counts as if one row differed."""
    if not isinstance(pos_weight, str):
        return torch.tensor([pos_weight], dtype=torch.float64)
    positives = y.reshape(len(y), -1).sum(axis=0, dtype=np.float64)
    return torch.from_numpy(np.maximum(len(y) - positives, 1) / np.maximum(positives, 1))
