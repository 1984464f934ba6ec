"""The Inception block of GoogLeNet: four paths of different kernels, concatenated."""

from __future__ import annotations

import itertools
from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.concatenate import concatenate
from yisheng.scratch.cross_correlation import cross_correlation
from yisheng.scratch.max_pooling import max_pooling
from yisheng.scratch.relu import relu

Layer = tuple[Tensor, Tensor]
"""Kernels (O, C, k, k) and biases (O,); k odd."""


def _plot(axes: Any) -> None:
    boxes = {
        "input": (1.5, 0.0),
        "1 x 1": (0.0, -2.0),
        "1 x 1 ": (1.0, -1.0),
        "3 x 3": (1.0, -2.0),
        " 1 x 1": (2.0, -1.0),
        "5 x 5": (2.0, -2.0),
        "3 x 3\nmax pooling": (3.0, -1.0),
        " 1 x 1 ": (3.0, -2.0),
        "concatenate\nthe channels": (1.5, -3.0),
    }
    paths = [("1 x 1",), ("1 x 1 ", "3 x 3"), (" 1 x 1", "5 x 5"), ("3 x 3\nmax pooling", " 1 x 1 ")]
    edges = []
    for path in paths:
        nodes = ["input", *path, "concatenate\nthe channels"]
        edges += list(itertools.pairwise(nodes))
    _plots.draw_diagram(axes, boxes, edges)


@register(
    equation="""y = concatenate(c₁ₓ₁(x), c₃ₓ₃(c₁ₓ₁(x)), c₅ₓ₅(c₁ₓ₁(x)), c₁ₓ₁(maxpool₃ₓ₃(x)))  along the channels
c = relu(convolution with padding (k − 1) / 2)""",
    usual="""
import torch
from torch import nn

class Inception(nn.Module):
    def __init__(self, inputs, o1, o2, o3, o4):
        super().__init__()
        self.p1 = nn.Sequential(nn.Conv2d(inputs, o1, 1), nn.ReLU())
        self.p2 = nn.Sequential(nn.Conv2d(inputs, o2[0], 1), nn.ReLU(), nn.Conv2d(*o2, 3, padding=1), nn.ReLU())
        self.p3 = nn.Sequential(nn.Conv2d(inputs, o3[0], 1), nn.ReLU(), nn.Conv2d(*o3, 5, padding=2), nn.ReLU())
        self.p4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(inputs, o4, 1), nn.ReLU())

    def forward(self, x):
        return torch.cat([self.p1(x), self.p2(x), self.p3(x), self.p4(x)], dim=1)

y = Inception(8, 4, (4, 8), (2, 4), 4)(torch.randn(2, 8, 14, 14))
""",
    when="""To look for patterns of several sizes at once (`yisheng train model=googlenet`); the 1 x 1 convolutions
before the larger kernels reduce the channels, which saves most of the work. Today residual blocks are simpler and as
good.""",
    plot=_plot,
)
def inception_block(
    x: Tensor, path1: Layer, path2: tuple[Layer, Layer], path3: tuple[Layer, Layer], path4: Layer
) -> Tensor:
    """Concatenate the channels of four paths: 1 x 1; 1 x 1 and 3 x 3; 1 x 1 and 5 x 5; pooling and 1 x 1.

    Args:
        x: images (B, C, H, W).
        path1: kernels 1 x 1 and biases.
        path2: a layer of kernels 1 x 1, and one of 3 x 3.
        path3: a layer of kernels 1 x 1, and one of 5 x 5.
        path4: kernels 1 x 1 and biases, after a max pooling of 3 x 3.

    Source: Szegedy et al., "Going deeper with convolutions", 2015, figure 2 (b); Zhang et al., "Dive into deep
    learning", 2023, section 8.4.1.

    >>> import torch
    >>> layers = {k: (torch.ones(1, 1, k, k), torch.zeros(1)) for k in (1, 3, 5)}
    >>> one, three, five = (layers[k] for k in (1, 3, 5))
    >>> y = inception_block(torch.ones(1, 1, 5, 5), one, (one, three), (one, five), one)
    >>> y[0, :, 2, 2]  # of the pixel in the middle
    tensor([ 1.,  9., 25.,  1.])
    """
    y2, y3 = (convolve(convolve(x, first), second) for first, second in (path2, path3))
    pooled = max_pooling(x, 3, stride=1, padding=1)
    return concatenate([convolve(x, path1), y2, y3, convolve(pooled, path4)], axis=1)


def convolve(x: Tensor, layer: Layer) -> Tensor:
    """Apply a convolution that keeps the size, and a relu.

    >>> import torch
    >>> convolve(torch.ones(1, 1, 1, 1), (-torch.ones(1, 1, 3, 3), torch.zeros(1)))
    tensor([[[[0.]]]])
    """
    w, b = layer
    return relu(cross_correlation(x, w, b, padding=w.shape[2] // 2))
