"""Convolution, with the kernel flipped."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.cross_correlation import cross_correlation


def _plot(axes: Any) -> None:
    """Draw a kernel, and what convolution and cross-correlation make of an image with a single bright pixel."""
    kernel = torch.tensor([[3.0, 2.0, 1.0], [2.0, 0.0, 0.0], [1.0, 0.0, 0.0]])[None, None]
    impulse = torch.zeros(1, 1, 5, 5)
    impulse[..., 2, 2] = 1
    gap = torch.full((3, 1), torch.nan)
    images = kernel, convolution(impulse, kernel), cross_correlation(impulse, kernel)
    axes.imshow(torch.cat([images[0][0, 0], gap, images[1][0, 0], gap, images[2][0, 0]], 1).numpy(), cmap="gray")
    axes.set(xticks=[1, 5, 9], xticklabels=["kernel", "convolution\nof a pixel", "cross-correlation\nof a pixel"])
    axes.set(yticks=[])
    axes.spines[:].set_visible(False)


@register(
    equation="y[b, o, i, j] = Σ_c Σ_u Σ_v  x[b, c, i + h − 1 − u, j + w − 1 − v] · k[o, c, u, v]",
    usual="""
import numpy as np
from scipy.signal import convolve2d
y = convolve2d(np.ones((28, 28)), np.ones((5, 5)), mode="valid")
""",
    when="""In signal processing, where it commutes and associates: two filters in a row are one. What networks call
convolution is cross-correlation, without the flip: learnt kernels come out flipped, and nothing else changes. See
cross-correlation for the layer, convolution-arithmetic for its sizes.""",
    plot=_plot,
)
def convolution(x: Tensor, w: Tensor) -> Tensor:
    """Sum the products of each flipped kernel with the image at every position.

    Args:
        x: images (B, C, H, W).
        w: one kernel of C layers for each of O outputs, (O, C, h, w).

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 9.1; Zhang et al., "Dive into deep
    learning", 2023, sections 7.1.3 and 7.2.5.

    >>> pixel = torch.zeros(1, 1, 3, 3)
    >>> pixel[..., 1, 1] = 1
    >>> convolution(pixel, torch.arange(4.0).reshape(1, 1, 2, 2))[0, 0]  # the kernel itself
    tensor([[0., 1.],
            [2., 3.]])
    """
    return cross_correlation(x, w.flip(2, 3))
