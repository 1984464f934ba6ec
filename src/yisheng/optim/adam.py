"""Momentum and a pace of its own for each weight, both corrected for their start."""

from __future__ import annotations

import torch

from yisheng.core.registry import register
from yisheng.optim._fused import fusable
from yisheng.optim._option_ranges import Average, Decay, Groups, Rate


@register
def adam(
    groups: Groups,
    *,
    lr: Rate = 0.001,
    betas: tuple[Average, Average] = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
) -> torch.optim.Optimizer:
    """Adam: with g' = g + λ w, w <- w - lr m̂ / (√v̂ + eps).

    m <- β1 m + (1 - β1) g' and v <- β2 v + (1 - β2) g'² are running means that begin at zero;
    m̂ = m / (1 - β1^t) and v̂ = v / (1 - β2^t) undo that pull towards zero after t steps.

    Args:
        lr: learning rate, in units of the weights; 0.001 is the paper's and seldom far off.
        betas: what is kept of the two means from step to step; the paper's look back over 10 and 1000 steps.
        eps: keeps the quotient finite where gradients vanish.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss. It is divided by √v̂ like the
            gradient, so it hardly touches weights with large gradients; `adamw` mends that.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> optimizer = adam([{"params": [w]}], lr=0.1)
    >>> w.grad = torch.full((1,), 1000.0)
    >>> optimizer.step()
    >>> w  # the first step is lr long, whatever the gradient
    tensor([1.9000], requires_grad=True)
    """
    return torch.optim.Adam(groups, lr, betas, eps, weight_decay=weight_decay, fused=fusable(groups))
