"""Concatenation: tensors one after the other along an axis that they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw two tensors, and both concatenations."""
    x, y = torch.zeros(2, 3), torch.ones(2, 3)
    image = torch.full((7, 11), torch.nan)
    image[:4, :3] = concatenate([x, y], 0)
    image[:2, 5:] = concatenate([x, y], 1)
    axes.imshow(image.numpy(), cmap="coolwarm", vmin=-0.5, vmax=1.5)
    axes.set(xticks=[], yticks=[], title="two (2, 3) tensors: axis 0 gives (4, 3), axis 1 gives (2, 6)", ylim=(4.5, -1))
    axes.spines[:].set_visible(False)


@register(
    equation="y[…, n₁ + … + n_(k−1) + i, …] = x_k[…, i, …],     n_k the size of x_k along the axis",
    usual="""
import torch
x, y = torch.ones(32, 3), torch.zeros(32, 5)
z = torch.cat([x, y], dim=1)  # (32, 8)
""",
    when="""To join batches (axis 0) or features and channels (axis 1, as in an Inception block). The number of axes
stays the same; to make a new axis use stack.""",
    plot=_plot,
)
def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Write tensors one after the other along an axis.

    Args:
        tensors: with the same sizes along all axes but one.
        axis: along which they are joined; negative counts from the last.

    Raises:
        UsageError: the sizes along another axis differ.

    Source: Zhang et al., "Dive into deep learning", 2023, section 2.1.3.

    >>> concatenate([torch.tensor([[1, 2]]), torch.tensor([[3, 4]])])
    tensor([[1, 2],
            [3, 4]])
    >>> concatenate([torch.tensor([[1, 2]]), torch.tensor([[3, 4]])], axis=1)
    tensor([[1, 2, 3, 4]])
    """
    axis %= tensors[0].dim()
    shapes = {(*x.shape[:axis], -1, *x.shape[axis + 1 :]) for x in tensors}
    if len(shapes) > 1:
        raise UsageError(
            Message(
                "shapes {shapes} cannot be joined along axis {axis}",
                shapes=", ".join(str(tuple(x.shape)) for x in tensors),
                axis=axis,
            ),
            Message("give tensors that differ in the size of that axis only"),
        )
    size = sum(x.shape[axis] for x in tensors)
    joined = tensors[0].new_empty([*tensors[0].shape[:axis], size, *tensors[0].shape[axis + 1 :]])
    start = 0
    for x in tensors:
        joined.narrow(axis, start, x.shape[axis]).copy_(x)
        start += x.shape[axis]
    return joined
