"""Average pooling."""

from __future__ import annotations

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch.padding import padding as pad


@register(
    equation="y[b, c, i, j] = 1/size² Σ_u Σ_v  x[b, c, i·stride + u, j·stride + v]",
    usual="""
import torch
y = torch.nn.AvgPool2d(kernel_size=2)(torch.ones(2, 6, 28, 28))
""",
    when="""At the end of a network over the entire image, instead of large linear layers; between layers max pooling
is more usual. With padding the zeros count in the mean, so values at the borders are smaller.""",
)
def average_pooling(x: Tensor, size: int, *, stride: int | None = None, padding: int = 0) -> Tensor:
    """Compute the mean of each window, channel by channel.

    y[b, c, i, j] = 1/size² Σ_{u, v < size} x[b, c, i stride + u, j stride + v]

    Args:
        x: images (B, C, H, W).
        size: rows and columns of a window.
        stride: distance between windows; their size if not given, so that windows do not overlap.
        padding: rows and columns of zeros on each side, which count in the mean.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998, section 2.2 (there with
    a learnt scale); Zhang et al., "Dive into Deep Learning", section 7.5.1.

    >>> import torch
    >>> average_pooling(torch.arange(9.0).reshape(1, 1, 3, 3), 2, stride=1)[0, 0]
    tensor([[2., 3.],
            [5., 6.]])
    """
    step = stride or size
    windows = pad(x, padding).unfold(2, size, step).unfold(3, size, step)
    return windows.mean(dim=(-2, -1))
