"""One-hot encoding."""

from __future__ import annotations

import torch
from torch import Tensor

from yisheng.core.registry import register


@register(
    equation="onehot(y)ₖ = 1 if k = y, else 0",
    usual="""
import torch
y = torch.tensor([2, 0, 1])
rows = torch.nn.functional.one_hot(y, num_classes=3)
""",
    when="""For categories among the features of a linear model or a network, and in formulas (p − onehot(y)). Not for
targets of cross-entropy, which takes the class numbers, and not for thousands of categories: embed those.""",
)
def one_hot(y: Tensor, classes: int) -> Tensor:
    """Return rows (..., C) of zeros with a one at the class.

    Args:
        y: class numbers (...), from 0.
        classes: number of classes C; a class number of C or above gives a row of zeros.

    Source: Zhang et al., "Dive into deep learning", 2023, section 4.1.1.

    >>> one_hot(torch.tensor([2, 0]), 3)
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    return (y[..., None] == torch.arange(classes, device=y.device)).long()
