"""Max pooling."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.padding import padding as pad


@register(
    equation="y[b, c, i, j] = max over u, v < size of x[b, c, i·stride + u, j·stride + v]",
    usual="""
import torch
y = torch.nn.MaxPool2d(kernel_size=2)(torch.ones(2, 6, 28, 28))
""",
    when="""To halve rows and columns between convolutions and reduce the effect of a shift by a pixel. It keeps
whether a pattern is present rather than how much of it; newer networks use strided convolutions instead.""",
)
def max_pooling(x: Tensor, size: int, *, stride: int | None = None, padding: int = 0) -> Tensor:
    """Compute the largest value of each window, channel by channel.

    y[b, c, i, j] = max_{u, v < size} x[b, c, i stride + u, j stride + v]

    Args:
        x: images (B, C, H, W).
        size: rows and columns of a window.
        stride: distance between windows; their size if not given, so that windows do not overlap.
        padding: rows and columns of -inf on each side, at most half of size.

    Source: Zhang et al., "Dive into Deep Learning", section 7.5.1.

    >>> import torch
    >>> max_pooling(torch.arange(9.0).reshape(1, 1, 3, 3), 2, stride=1)[0, 0]
    tensor([[4., 5.],
            [7., 8.]])
    """
    step = stride or size
    windows = pad(x, padding, value=-float("inf")).unfold(2, size, step).unfold(3, size, step)
    return windows.flatten(-2).max(dim=-1).values  # of equal values the first, which gets the gradient
