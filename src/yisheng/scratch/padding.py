"""Padding of images."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register


@register(
    equation="y[i + size, j + size] = x[i, j],   y = value otherwise",
    usual="""
import torch
from torch.nn import functional as F
y = F.pad(torch.ones(1, 1, 2, 2), (1, 1, 1, 1))
""",
    when="""Before a convolution with an odd kernel k, size (k − 1)/2 keeps the number of rows and columns.
Convolutions and pooling layers have an option padding.""",
)
def padding(x: Tensor, size: int, *, value: float = 0.0) -> Tensor:
    """Add rows and columns of one value around each image.

    y[i + size, j + size] = x[i, j], and y = value otherwise.

    Args:
        x: images (B, C, H, W).
        size: rows and columns to add on each side; y is (B, C, H + 2 size, W + 2 size).
        value: the added value; zeros for convolutions, and -inf for max pooling, as it is never the largest.

    Source: Zhang et al., "Dive into Deep Learning", section 7.3.1.

    >>> import torch
    >>> padding(torch.ones(1, 1, 1, 2), 1)[0, 0]
    tensor([[0., 0., 0., 0.],
            [0., 1., 1., 0.],
            [0., 0., 0., 0.]])
    """
    B, C, H, W = x.shape
    y = x.new_full((B, C, H + 2 * size, W + 2 * size), value)
    y[:, :, size : size + H, size : size + W] = x
    return y
