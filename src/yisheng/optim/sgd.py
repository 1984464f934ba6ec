"""Stochastic gradient descent."""

from __future__ import annotations

import torch

from yisheng.core.registry import register
from yisheng.optim._eager import SGD
from yisheng.optim._fused import can_fuse
from yisheng.optim._option_ranges import Decay, Groups, Rate


@register
def sgd(groups: Groups, *, lr: Rate = 0.1, weight_decay: Decay = 0.0) -> torch.optim.Optimizer:
    """Update by stochastic gradient descent: w <- w - lr (g + λ w).

    Args:
        lr: learning rate; 0.1 is the textbook's for softmax regression and small networks on scaled inputs.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss; none by default, as the textbook
            introduces it.

    Source: Robbins and Monro, "A stochastic approximation method", 1951; Zhang et al., "Dive into Deep
    Learning", section 12.4.

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> optimizer = sgd([{"params": [w]}], lr=0.5, weight_decay=0.1)
    >>> (3 * w).sum().backward()
    >>> optimizer.step()
    >>> w  # 2 - 0.5 (3 + 0.1 * 2)
    tensor([0.4000], requires_grad=True)
    """
    return SGD(groups, lr, weight_decay=weight_decay, fused=can_fuse(groups))
