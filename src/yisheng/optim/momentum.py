"""SGD with momentum."""

from __future__ import annotations

import torch

from yisheng.core.registry import register
from yisheng.optim._eager import SGD
from yisheng.optim._fused import can_fuse
from yisheng.optim._option_ranges import Average, Decay, Groups, Rate


@register
def momentum(
    groups: Groups, *, lr: Rate = 0.05, momentum: Average = 0.9, weight_decay: Decay = 0.0
) -> torch.optim.Optimizer:
    """Update by SGD with momentum: v <- momentum v + g + λ w;  w <- w - lr v.

    Steps in the same direction add up to 1/(1 - momentum) times one step; those in opposite directions cancel out.

    Args:
        lr: learning rate; half of plain SGD's default, since momentum multiplies it by ten over many steps.
        momentum: fraction of the velocity that a step keeps; 0.9 averages over about 10 steps. 0 is `sgd`.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et al.,
    "On the importance of initialization and momentum in deep learning", 2013, section 2.

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> optimizer = momentum([{"params": [w]}], lr=0.1)
    >>> for _ in range(2):
    ...     w.grad = torch.ones(1)
    ...     optimizer.step()
    >>> w  # 2 - 0.1 * 1 - 0.1 * 1.9
    tensor([1.7100], requires_grad=True)
    """
    return SGD(groups, lr, momentum=momentum, weight_decay=weight_decay, fused=can_fuse(groups))
