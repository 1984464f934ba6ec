"""L2 penalty: the sum of the squared weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots


def _plot(axes: Any) -> None:
    _plots.draw_with_slope(
        axes, lambda w: (w[:, None] ** 2).sum(1) / 2, label="½ w²", low=-2, high=2, xlabel="weight w"
    )


@register(
    equation="""penalty = λ/2 Σ w²
gradient: λ w, so that each update of gradient descent first shrinks the weights: w ← (1 − lr λ) w − lr g""",
    usual="""
import torch
w = torch.randn(3, 10, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1, weight_decay=0.01)
""",
    when="""Against overfitting, with λ searched on a logarithmic scale from 1e-6 to 1e-2 (higher for small data). It
makes all weights smaller, but not zero. Leave biases out. With Adam use AdamW, which shrinks every weight alike.""",
    plot=_plot,
)
def l2_penalty(w: Tensor, *, weight_decay: float = 0.01) -> Tensor:
    """Compute the L2 penalty, which weight decay adds to the loss: λ/2 Σ w².

    Args:
        w: weights, of any shape.
        weight_decay: λ, in units of the loss over those of the squared weights; 0.01 is a common first value.

    Source: Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 12,
    1970; Zhang et al., "Dive into deep learning", 2023, section 3.7.

    >>> import torch
    >>> l2_penalty(torch.tensor([3.0, 4.0]), weight_decay=0.1)
    tensor(1.2500)
    """
    return weight_decay / 2 * (w * w).sum()
