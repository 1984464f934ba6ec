"""Stride: the distance between the positions of a kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw the positions of an 8 x 8 output that a stride of 3 keeps."""
    mask = torch.zeros(1, 1, 8, 8)
    stride(mask, step=3).fill_(1)
    axes.imshow(mask[0, 0].numpy(), cmap="Blues", vmin=0, vmax=1.5)
    axes.set(xticks=range(8), yticks=range(8), title="positions that a stride of 3 keeps, of 8 x 8")


@register(
    equation="y_stride[i, j] = y[i · stride, j · stride],     y the output at stride 1",
    usual="""
import torch
layer = torch.nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)
y = layer(torch.ones(2, 3, 28, 28))  # (2, 8, 14, 14)
""",
    when="""To halve the rows and columns: a quarter of the work for all later layers, and a receptive field that grows
twice as fast. It is cheaper than pooling after stride 1, since the other positions are never computed.""",
    plot=_plot,
)
def stride(y: Tensor, *, step: int = 2) -> Tensor:
    """Keep the outputs at every step-th row and column, as a convolution with this stride computes them.

    Args:
        y: outputs (..., H, W) of a convolution or pooling at stride 1.
        step: the stride.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 2.3; Zhang et
    al., "Dive into deep learning", 2023, section 7.3.2.

    >>> stride(torch.arange(9.0).reshape(3, 3))
    tensor([[0., 2.],
            [6., 8.]])
    """
    return y[..., ::step, ::step]
