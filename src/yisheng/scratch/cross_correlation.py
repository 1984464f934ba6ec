"""Cross-correlation, which convolutional layers compute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.padding import padding as pad


def _plot(axes: Any) -> None:
    """Draw a bright square, and its vertical edges, which the kernel (1, -1) detects."""
    x = torch.zeros(1, 1, 12, 13)
    x[:, :, 3:9, 3:9] = 1
    y = cross_correlation(x, torch.tensor([[[[1.0, -1.0]]]]))
    images = torch.cat([2 * x[0, 0] - 1, torch.full((12, 1), torch.nan), y[0, 0]], dim=1)
    axes.imshow(images.numpy(), cmap="gray")
    axes.set(xticks=[], yticks=[], title="a square, and its edges by the kernel (1, −1)")


def cross_correlation_by_loops(x: Tensor, w: Tensor) -> Tensor:
    """Compute the definition for one image (H, W) and one kernel (h, w), position by position."""
    H, W = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    y = x.new_zeros(H, W)
    for i in range(H):
        for j in range(W):
            y[i, j] = (x[i : i + w.shape[0], j : j + w.shape[1]] * w).sum()
    return y


@register(
    equation="y[b, o, i, j] = b[o] + Σ_c Σ_u Σ_v  x[b, c, i·stride + u, j·stride + v] · w[o, c, u, v]",
    usual="""
import torch
layer = torch.nn.Conv2d(in_channels=3, out_channels=8, kernel_size=5, stride=1, padding=2)
y = layer(torch.ones(2, 3, 28, 28))
""",
    when="""The layer for images and other data on a grid, in which the same pattern may be anywhere. Networks call
this convolution; the true convolution flips the kernel, which makes no difference for learnt weights.""",
    plot=_plot,
)
def cross_correlation(x: Tensor, w: Tensor, b: Tensor | None = None, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Sum the products of each kernel with the image at every position.

    y[b, o, i, j] = b[o] + Σ_c Σ_u Σ_v x[b, c, i stride + u, j stride + v] w[o, c, u, v]

    Args:
        x: images (B, C, H, W).
        w: one kernel of C layers for each of O outputs, (O, C, h, w).
        b: bias (O,), or None.
        stride: distance between the kernel's positions; y has (H + 2 padding - h) // stride + 1 rows.
        padding: rows and columns of zeros on each side; none by default, so the image shrinks.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998, section 2;
    Goodfellow, Bengio and Courville, "Deep learning", 2016, equation 9.6; Zhang et al., "Dive into Deep
    Learning", sections 7.2 to 7.4.

    >>> x = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> cross_correlation(x, torch.arange(4.0).reshape(1, 1, 2, 2))[0, 0]
    tensor([[19., 25.],
            [37., 43.]])
    """
    windows = pad(x, padding).unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)  # (B, C, H', W', h, w)
    y = torch.einsum("bcijuv,ocuv->boij", windows, w)
    return y if b is None else y + b[:, None, None]
