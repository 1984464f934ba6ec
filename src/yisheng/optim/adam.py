"""Adam: momentum with a step size for each weight."""

from __future__ import annotations

import torch

from yisheng.core.registry import register
from yisheng.optim._eager import Adam
from yisheng.optim._fused import can_fuse
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
    """Update by Adam: with g' = g + λ w, w <- w - lr m̂ / (√v̂ + eps).

    m <- β1 m + (1 - β1) g' and v <- β2 v + (1 - β2) g'² are running means that start at zero;
    m̂ = m / (1 - β1^t) and v̂ = v / (1 - β2^t) correct their bias towards zero after t steps.

    Args:
        lr: learning rate, in units of the weights; 0.001 is the paper's, and is suitable for most networks.
        betas: fractions of the two means that a step keeps; the paper's average over about 10 and 1000 steps.
        eps: keeps the quotient finite if gradients vanish.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss. It is divided by √v̂ like the
            gradient, so it hardly affects weights with large gradients; `adamw` avoids that.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> optimizer = adam([{"params": [w]}], lr=0.1)
    >>> w.grad = torch.full((1,), 1000.0)
    >>> optimizer.step()
    >>> w  # the first step is lr long, whatever the gradient
    tensor([1.9000], requires_grad=True)
    """
    return Adam(groups, lr, betas, eps, weight_decay=weight_decay, fused=can_fuse(groups))
