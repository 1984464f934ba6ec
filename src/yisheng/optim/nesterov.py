"""SGD with Nesterov's momentum."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.optim._eager import SGD
from yisheng.optim._fused import can_fuse
from yisheng.optim._option_ranges import Decay, Groups, Rate


@register(default_for=lambda spec: spec.has_maps and spec.task != "regression")
def nesterov(
    groups: Groups,
    *,
    lr: Rate = 0.05,
    momentum: Annotated[float, Interval(gt=0, lt=1)] = 0.9,
    weight_decay: Decay = 5e-4,
) -> torch.optim.Optimizer:
    """Update by SGD with Nesterov's momentum: g' = g + λ w;  v <- momentum v + g';  w <- w - lr (g' + momentum v).

    The step is the one that plain momentum would make next if the gradient stayed the same, so it slows down earlier
    if the gradient's direction changes.

    Args:
        lr: learning rate at the schedule's peak; 0.05 with batches of 16 to 128 trains networks with batch norm and
            shallow ones on scaled inputs. Use a tenth of it if the loss increases.
        momentum: fraction of the velocity that a step keeps; 0.9 averages over about 10 steps.
        weight_decay: the factor λ of a penalty λ/2 |w|² in the loss; 5e-4 is that of the wide
            residual networks on small images.

    Source: Nesterov, "A method of solving a convex programming problem with convergence rate O(1/k²)", 1983;
    Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, section 2.1;
    Zagoruyko and Komodakis, "Wide residual networks", 2016, section 3 (the settings).

    >>> w = torch.tensor([2.0], requires_grad=True)
    >>> optimizer = nesterov([{"params": [w]}], lr=0.1, weight_decay=0.0)
    >>> w.grad = torch.ones(1)
    >>> optimizer.step()
    >>> w  # 2 - 0.1 (1 + 0.9 * 1)
    tensor([1.8100], requires_grad=True)
    """
    return SGD(groups, lr, momentum=momentum, weight_decay=weight_decay, nesterov=True, fused=can_fuse(groups))
