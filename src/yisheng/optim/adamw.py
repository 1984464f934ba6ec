"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

import torch

from yisheng.core.registry import register
from yisheng.optim._eager import AdamW
from yisheng.optim._fused import can_fuse
from yisheng.optim._option_ranges import Average, Decay, Groups, Rate


# Adam tolerates columns of different scale, and the unbounded losses of numbers from images
@register(default_for=lambda spec: not spec.has_maps or spec.task == "regression")
def adamw(
    groups: Groups,
    *,
    lr: Rate = 0.001,
    betas: tuple[Average, Average] = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.01,
) -> torch.optim.Optimizer:
    """Update by Adam with decoupled weight decay: w <- (1 - lr λ) w - lr m̂ / (√v̂ + eps).

    m̂ and v̂ are `adam`'s running means of g and g², without the decay: every weight shrinks by the same fraction.

    Args:
        lr: learning rate, in units of the weights; 0.001 is Adam's.
        betas: fractions of the two means that a step keeps; Adam's average over about 10 and 1000 steps.
        eps: keeps the quotient finite if gradients vanish.
        weight_decay: λ, relative to lr: a weight without gradients shrinks by lr λ in each step, here
            1e-5. It is not the penalty's λ of the other optimizers; 0.01 is torch's, the useful range is wide.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> optimizer = adamw([{"params": [w]}], lr=0.1, weight_decay=0.5)
    >>> w.grad = torch.zeros(1)
    >>> optimizer.step()
    >>> w  # 2 (1 - 0.1 * 0.5)
    tensor([1.9000], requires_grad=True)
    """
    return AdamW(groups, lr, betas, eps, weight_decay=weight_decay, fused=can_fuse(groups))
