"""The pinball loss, whose minimum is a quantile."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.losses.shapes import Loss, require_same_shape


@register(fits=lambda spec: spec.task == "regression", requires="a number as its target", own_score=True)
def pinball(
    spec: Spec,  # noqa: ARG001  # all losses have one signature
    y: np.ndarray,  # noqa: ARG001
    *,
    quantile: Annotated[float, Interval(gt=0, lt=1)] = 0.5,
) -> Loss:
    """Compute the pinball loss, a mean over the targets: max(q e, (q - 1) e) with e = y - y'.

    The quantile q of the target, given the inputs, minimizes it: with q = 0.9 the prediction is above the target in 9
    of 10 rows. Because a prediction of a high quantile has large errors on purpose, this loss itself is the score that
    chooses the epoch, unless another is named. It works for networks and for ``model=boosting``.

    Args:
        quantile: the quantile q; 0.5 is the median.

    Source: Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978.

    >>> loss = pinball(Spec("regression", (1,)), np.zeros((2, 1), np.float32), quantile=0.75)
    >>> loss(torch.tensor([[0.0], [0.0]]), torch.tensor([[4.0], [-4.0]]))
    tensor([3., 1.])
    """

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        require_same_shape(output, y)
        error = y - output
        return torch.maximum(quantile * error, (quantile - 1) * error).mean(dim=1)

    return loss
