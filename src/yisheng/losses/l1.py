"""Mean absolute error."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.losses.shapes import Loss, require_same_shape


@register(fits=lambda spec: spec.task == "regression", requires="a number as its target")
def l1(spec: Spec, y: np.ndarray) -> Loss:  # noqa: ARG001  # all losses have one signature
    """Compute the absolute error, a mean over the targets: abs(y' - y).

    The median minimizes it, so outliers have no more influence than other targets; its gradient has the same
    size for every error, so it converges only if the learning rate falls.

    Source: Laplace, "Mémoire sur la probabilité des causes par les évènements", 1774.

    >>> loss = l1(Spec("regression", (1,)), np.zeros((2, 1), np.float32))
    >>> loss(torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [1.0]]))
    tensor([2., 0.])
    """

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        require_same_shape(output, y)
        return F.l1_loss(output, y, reduction="none").mean(dim=1)

    return loss
