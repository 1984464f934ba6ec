"""L1 penalty: the sum of the absolute weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS
from yisheng.scratch.l2_penalty import l2_penalty


def _plot(axes: Any) -> None:
    """Draw lines of equal penalty of two weights: at the corners of L1 a weight is zero."""
    side = torch.linspace(-1.5, 1.5, 61)
    weights = torch.cartesian_prod(side, side)
    for penalty, level, color, label in ((l1_penalty, 1.0, COLORS[0], "L1"), (l2_penalty, 0.5, COLORS[1], "L2")):
        height = torch.stack([penalty(w, weight_decay=1.0) for w in weights]).reshape(61, 61)
        axes.contour(side, side, height, levels=[level], colors=color)
        axes.plot([], [], color=color, label=label)
    axes.set(xlabel="w₁", ylabel="w₂", title="weights of equal penalty", aspect="equal")
    axes.legend()


@register(
    equation="""penalty = λ Σ |w|
gradient: λ sign(w), of the same size for every weight (0 at 0)""",
    usual="""
import torch
w = torch.randn(3, 10, requires_grad=True)
penalty = 0.01 * torch.linalg.vector_norm(w, ord=1)
""",
    when="""If only some of the features matter: many weights come near zero (`yisheng train l1=0.001`). Gradient
descent oscillates around zero; for exact zeros use scikit-learn's Lasso or LogisticRegression with an L1 penalty.""",
    plot=_plot,
)
def l1_penalty(w: Tensor, *, weight_decay: float = 0.01) -> Tensor:
    """Compute the L1 penalty: λ Σ |w|.

    Args:
        w: weights, of any shape.
        weight_decay: λ, in units of the loss over those of the weights; 0.01 is a common first value.

    Source: Tibshirani, "Regression shrinkage and selection via the lasso", Journal of the Royal Statistical Society B
    58, 1996.

    >>> l1_penalty(torch.tensor([3.0, -4.0]), weight_decay=0.1)
    tensor(0.7000)
    """
    return weight_decay * (w * w.detach().sign()).sum()
