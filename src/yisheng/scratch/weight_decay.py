"""Weight decay: every update first shrinks the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS


def _plot(axes: Any) -> None:
    """Draw the errors of a linear model of 200 inputs on 20 rows, by the decay."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 200, generator=generator)
    y = 0.05 + 0.01 * x.sum(1) + 0.01 * torch.randn(120, generator=generator)
    start, decays = torch.randn(200, generator=generator), torch.logspace(-2, 2, 25)
    errors = []
    for decay in decays.tolist():
        w = start
        for _ in range(300):
            g = x[:20].T @ (x[:20] @ w - y[:20]) / 20
            w = weight_decay(w, g, lr=0.01, weight_decay=decay)
        errors.append([float(((x[part] @ w - y[part]) ** 2).mean()) for part in (slice(20), slice(20, None))])
    for k, label in enumerate(("training, 20 rows", "validation, 100 rows")):
        axes.loglog(decays, [pair[k] for pair in errors], color=COLORS[k], label=label)
    axes.set(xlabel="weight decay λ", ylabel="mean squared error", title="200 inputs, from random weights")
    axes.legend()


@register(
    equation="w ← (1 − lr λ) w − lr g",
    usual="""
import torch
model = torch.nn.Linear(10, 1)
groups = [{"params": [model.weight], "weight_decay": 0.01}, {"params": [model.bias], "weight_decay": 0.0}]
optimizer = torch.optim.SGD(groups, lr=0.1)
""",
    when="""Against overfitting, in nearly every training (`yisheng train weight_decay=0.001`): search λ from 1e-6 to
1e-1 on a logarithmic scale. Biases and norm layers are usually left out. For SGD it is the L2 penalty; for Adam it is
not: AdamW shrinks every weight alike, Adam with an L2 penalty the weights of large gradients less.""",
    plot=_plot,
)
def weight_decay(w: Tensor, g: Tensor, *, lr: float = 0.1, weight_decay: float = 0.01) -> Tensor:
    """Shrink the weights, then step against the gradient: (1 − lr λ) w − lr g.

    Args:
        w: weights, of any shape.
        g: gradient of the loss without a penalty, of the same shape.
        lr: learning rate.
        weight_decay: λ, the fraction by which the weights shrink per unit of the learning rate.

    Source: Krogh and Hertz, "A simple weight decay can improve generalization", 1991; Loshchilov and Hutter,
    "Decoupled weight decay regularization", 2019; Zhang et al., "Dive into deep learning", 2023, section 3.7.

    >>> weight_decay(torch.tensor([2.0]), torch.tensor([3.0]), lr=0.5, weight_decay=0.1)  # 0.95 · 2 - 1.5
    tensor([0.4000])
    """
    return (1 - lr * weight_decay) * w - lr * g
