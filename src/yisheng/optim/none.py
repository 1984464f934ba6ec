"""No optimizer."""

from __future__ import annotations

import torch

from yisheng.core.registry import register
from yisheng.optim._eager import SGD
from yisheng.optim._option_ranges import Groups


@register(updates=False)
def none(groups: Groups) -> torch.optim.Optimizer:  # noqa: ARG001  # every optimizer has this signature
    """Update nothing: the model is fitted by a method of its own, as boosted trees are.

    It is what ``optimizer=auto`` means for such a model, and is for no other.

    >>> [group["params"][0].numel() for group in none([]).param_groups]
    [0]
    """
    return SGD([torch.zeros(0)], lr=1.0)
