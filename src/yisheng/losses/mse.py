"""Mean squared error."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.losses.shapes import Loss, require_same_shape


@register(
    fits=lambda spec: spec.task == "regression",
    default_for=lambda spec: spec.task == "regression",
    requires="a number as its target",
)
def mse(spec: Spec, y: np.ndarray) -> Loss:  # noqa: ARG001  # all losses have one signature
    """Compute the squared error, a mean over the targets: (y' - y)².

    The mean minimizes it, so a few outliers have a large influence; see `l1` and `huber`.

    Source: Gauss, "Theoria motus corporum coelestium", 1809, section 179.

    >>> loss = mse(Spec("regression", (1,)), np.zeros((2, 1), np.float32))
    >>> loss(torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [1.0]]))
    tensor([4., 0.])
    """

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        require_same_shape(output, y)
        return F.mse_loss(output, y, reduction="none").mean(dim=1)

    return loss
