"""A frame around an image."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register


@register(
    equation="y[i + size, j + size] = x[i, j],   y = value elsewhere",
    usual="""
import torch
from torch.nn import functional as F
y = F.pad(torch.ones(1, 1, 2, 2), (1, 1, 1, 1))
""",
    when="""Around a convolution of odd kernel k, size (k − 1)/2 keeps rows and columns and lets the border be seen as
often as the middle. Convolutions and poolings take padding= themselves.""",
)
def padding(x: Tensor, size: int, *, value: float = 0.0) -> Tensor:
    """Padding: rows and columns of one value, put around each image.

    y[i + size, j + size] = x[i, j], and y = value elsewhere.

    Args:
        x: images (B, C, H, W).
        size: rows and columns to add on each side; y is (B, C, H + 2 size, W + 2 size).
        value: what is put there; zeros, as convolutions want. Max pooling wants -inf, which never wins.

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
