"""Cross-entropy on logits."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval
from torch.nn import functional as F

from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.losses.output_weights import OutputWeights
from yisheng.losses.shapes import Loss

Weight = Annotated[float, Interval(ge=0, lt=math.inf)]


@register(
    fits=lambda spec: spec.task == "classification",
    default_for=lambda spec: spec.task == "classification" and len(spec.classes) > 2,
    requires="classes",
)
def cross_entropy(
    spec: Spec,
    y: np.ndarray,
    *,
    smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    class_weight: Literal["balanced"] | tuple[Weight, ...] | None = None,
) -> Loss:
    """Compute the cross-entropy of softmax(output) and the class: -w[y] log softmax(output)[y].

    With smoothing s the target is 1 - s + s/C for the class and s/C for the other classes. Soft labels
    ``(B, C)`` are accepted, and smoothed and weighted in the same way.

    Args:
        smoothing: fraction of the target that is distributed evenly over all classes; 0 does not change it, 0.1 is
            usual.
        class_weight: a weight for each class, or balanced for n / (C n_c), which gives every class the same
            total weight and the training part a mean weight of 1.

    Raises:
        UsageError: the number of weights is not the number of classes.
        DataError: (from the loss) the shapes of outputs and targets do not fit.

    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990;
    Szegedy et al., "Rethinking the Inception architecture", 2016, section 7 (smoothing).

    >>> loss = cross_entropy(Spec("classification", (4,), classes=("a", "b", "c")), np.array([0, 1, 2]))
    >>> loss(torch.zeros(2, 3), torch.tensor([0, 2]))
    tensor([1.0986, 1.0986])
    """
    weights = None if class_weight is None else OutputWeights(compute_class_weights(spec, y, class_weight))

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        require_classes(output, y)
        weight = None if weights is None else weights.to_match(output)
        return F.cross_entropy(output, y, weight=weight, label_smoothing=smoothing, reduction="none")

    return loss


def require_classes(output: torch.Tensor, y: torch.Tensor) -> None:
    """Raise an error if targets are neither class numbers ``(B,)`` nor soft labels ``(B, C)`` for outputs ``(B, C)``.

    Raises:
        DataError: the shapes do not fit.
    """
    if output.ndim != 2 or y.shape not in (output.shape[:1], output.shape):
        raise DataError(
            Message(
                "cross-entropy needs class numbers (B,) or soft labels (B, C) for outputs (B, C), got "
                "targets {target_shape} for outputs {output_shape}",
                target_shape=tuple(y.shape),
                output_shape=tuple(output.shape),
            ),
            Message("use one class number per row, and a model with one output unit per class"),
        )


def compute_class_weights(spec: Spec, y: np.ndarray, class_weight: str | tuple[float, ...]) -> torch.Tensor:
    """Return weights ``(C,)``; a class without a training row counts as having one."""
    classes = len(spec.classes)
    if isinstance(class_weight, str):
        rows = np.bincount(y, minlength=classes) if y.ndim == 1 else y.sum(axis=0)
        class_weight = tuple(len(y) / (classes * np.maximum(rows, 1)))
    if len(class_weight) != classes:
        raise UsageError(
            Message(
                "class_weight needs one weight for each of the {classes} classes, got {count}",
                classes=classes,
                count=len(class_weight),
            ),
            Message(
                "order them as {classes}, or use class_weight=balanced",
                classes=", ".join((*spec.classes[:10], *["..."] * (classes > 10))),
            ),
        )
    return torch.tensor(class_weight, dtype=torch.float64)
