"""1 x 1 convolution: a linear layer at every pixel."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register


@register(
    equation="y[b, :, i, j] = W x[b, :, i, j] + b",
    usual="""
import torch
layer = torch.nn.Conv2d(in_channels=64, out_channels=16, kernel_size=1)
y = layer(torch.ones(2, 64, 14, 14))
""",
    when="""To change the number of channels cheaply: before an expensive 3 x 3 layer, or on the shortcut of a
residual block. It uses no neighboring pixels, so alone it cannot detect shapes.""",
)
def convolution_1x1(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Map the channels of every pixel by the same matrix.

    y[b, :, i, j] = W x[b, :, i, j] + b

    Args:
        x: images (B, C, H, W).
        w: the matrix (O, C).
        b: bias (O,), or None.

    Source: Lin, Chen and Yan, "Network in network", 2014, section 3.1; Zhang et al., "Dive into Deep Learning",
    section 7.4.3.

    >>> import torch
    >>> x = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)
    >>> convolution_1x1(x, torch.tensor([[1.0, 1.0], [1.0, -1.0], [0.0, 3.0]])).flatten()
    tensor([ 3., -1.,  6.])
    """
    y = (w @ x.flatten(2)).unflatten(2, x.shape[2:])  # (O, C) times (B, C, H W)
    return y if b is None else y + b[:, None, None]
