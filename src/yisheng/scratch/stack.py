"""Stacking: tensors of one shape along a new axis."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.scratch.concatenate import concatenate


@register(
    equation="y[…, k, …] = x_k[…],     k at the new axis",
    usual="""
import torch
images = [torch.ones(3, 28, 28) for _ in range(32)]
batch = torch.stack(images)  # (32, 3, 28, 28)
""",
    when="""To make a batch of samples, or to compare K models: there is one axis more than before. All shapes must be
equal; to join along an axis that exists use concatenate.""",
)
def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Join tensors along a new axis.

    Args:
        tensors: all of one shape.
        axis: position of the new axis in the result; negative counts from its last.

    Raises:
        UsageError: the shapes differ.

    Source: Zhang et al., "Dive into deep learning", 2023, section 2.1.3.

    >>> import torch
    >>> stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    >>> stack([torch.tensor([1, 2]), torch.tensor([3, 4])], axis=1)
    tensor([[1, 3],
            [2, 4]])
    """
    if len({x.shape for x in tensors}) > 1:
        raise UsageError(
            Message("shapes {shapes} cannot be stacked", shapes=", ".join(str(tuple(x.shape)) for x in tensors)),
            Message("give tensors of one shape, or join them along an axis with concatenate"),
        )
    return concatenate([x.unsqueeze(axis) for x in tensors], axis)
