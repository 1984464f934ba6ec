"""RMSprop: a step size for each weight."""

from __future__ import annotations

import torch

from yisheng.core.registry import register
from yisheng.optim._eager import RMSprop
from yisheng.optim._option_ranges import Average, Decay, Groups, Rate


@register
def rmsprop(
    groups: Groups,
    *,
    lr: Rate = 0.001,
    alpha: Average = 0.9,
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
) -> torch.optim.Optimizer:
    """Update by RMSprop: g' = g + λ w;  s <- alpha s + (1 - alpha) g'²;  w <- w - lr g' / (√s + eps).

    Dividing by the root mean square of recent gradients gives every weight steps of about lr.

    Args:
        lr: learning rate, in units of the weights; 0.001 is the lecture's.
        alpha: fraction of the mean square that a step keeps; 0.9, the lecture's, averages over about 10 steps.
        eps: keeps the quotient finite if gradients vanish.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss (scaled with the gradient).

    Source: Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012, Coursera.

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> optimizer = rmsprop([{"params": [w]}], lr=0.1, alpha=0.75)
    >>> w.grad = torch.full((1,), 1000.0)
    >>> optimizer.step()
    >>> w  # 2 - 0.1 / √0.25
    tensor([1.8000], requires_grad=True)
    """
    return RMSprop(groups, lr, alpha=alpha, eps=eps, weight_decay=weight_decay)
