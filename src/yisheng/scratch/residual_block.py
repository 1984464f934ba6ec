"""Residual block, which adds the output of its layers to its input."""

from __future__ import annotations

import itertools
from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.batch_norm import batch_norm
from yisheng.scratch.cross_correlation import cross_correlation
from yisheng.scratch.relu import relu

Layer = tuple[Tensor, Tensor, Tensor]
"""Kernels (O, C, h, w) of a convolution, scale (O,) and shift (O,) of the batch norm after it."""


def _plot(axes: Any) -> None:
    """Draw the layers, and the shortcut next to them."""
    labels = ["x", "3 x 3 convolution\nbatch norm, relu", "3 x 3 convolution\nbatch norm", "+", "relu", "y"]
    boxes = {label: (0.0, float(-i)) for i, label in enumerate(labels)}
    boxes["identity, or\n1 x 1 convolution"] = (1.0, -1.5)
    shortcut = [("x", "identity, or\n1 x 1 convolution"), ("identity, or\n1 x 1 convolution", "+")]
    _plots.draw_diagram(axes, boxes, [*itertools.pairwise(labels), *shortcut])


def _convolve_and_normalize(x: Tensor, layer: Layer, *, stride: int = 1, padding: int = 0) -> Tensor:
    w, gamma, beta = layer
    y = cross_correlation(x, w, stride=stride, padding=padding)
    return batch_norm(y, gamma, beta, y.new_zeros(len(w)), y.new_ones(len(w)), training=True)[0]


@register(
    equation="y = relu(x + bn(conv(relu(bn(conv(x))))))",
    usual="""
import torch
from torch import nn
from torch.nn import functional as F

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))

y = Block(4)(torch.randn(2, 4, 8, 8))
""",
    when="""In convolutional networks of more than a dozen layers: through the sums, gradients reach the first layer
undamped. In a shallow network it helps little.""",
    plot=_plot,
)
def residual_block(
    x: Tensor, layer1: Layer, layer2: Layer, shortcut: Layer | None = None, *, stride: int = 1
) -> Tensor:
    """Add the output of two convolutions to the input.

    y = relu(s(x) + bn(conv(relu(bn(conv(x)))))), s the identity or a 1x1 convolution with batch norm. As in
    training, batch norm uses the statistics of the batch.

    Args:
        x: images (B, C, H, W).
        layer1: kernels (O, C, 3, 3), scale (O,) and shift (O,).
        layer2: kernels (O, O, 3, 3), scale (O,) and shift (O,).
        shortcut: kernels (O, C, 1, 1), scale and shift, if the block changes channels or size; otherwise None.
        stride: of the first convolution and the shortcut; 2 halves rows and columns.

    Source: He et al., "Deep residual learning for image recognition", 2016, sections 3.2 and 3.3.

    >>> import torch
    >>> x, zeros = torch.ones(2, 1, 4, 4), torch.zeros(1)
    >>> zero_layer = (torch.zeros(1, 1, 3, 3), zeros, zeros)
    >>> torch.equal(residual_block(x, zero_layer, zero_layer), x)  # a block of zeros is the identity
    True
    """
    y = relu(_convolve_and_normalize(x, layer1, stride=stride, padding=1))
    y = _convolve_and_normalize(y, layer2, padding=1)
    return relu(y + (x if shortcut is None else _convolve_and_normalize(x, shortcut, stride=stride)))
