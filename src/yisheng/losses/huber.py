"""Huber's loss: squared for small errors, absolute for large ones."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval
from torch.nn import functional as F

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.losses.shapes import Loss, require_same_shape


@register(fits=lambda spec: spec.task == "regression", requires="a number as its target")
def huber(
    spec: Spec,  # noqa: ARG001  # all losses have one signature
    y: np.ndarray,  # noqa: ARG001
    *,
    delta: Annotated[float, Interval(gt=0, lt=math.inf)] = 1.0,
) -> Loss:
    """Compute Huber's loss, a mean over the targets: e²/2 where abs(e) <= delta, else delta (abs(e) - delta/2).

    It is smooth at its minimum like `half_mse`, and as robust against outliers as `l1`.

    Args:
        delta: the error from which on the loss is linear, in units of the scaled target: 1 is one standard
            deviation of a standardized target.

    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.

    >>> loss = huber(Spec("regression", (1,)), np.zeros((2, 1), np.float32), delta=1.0)
    >>> loss(torch.tensor([[3.0], [0.5]]), torch.tensor([[0.0], [0.0]]))
    tensor([2.5000, 0.1250])
    """

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        require_same_shape(output, y)
        return F.huber_loss(output, y, reduction="none", delta=delta).mean(dim=1)

    return loss
