"""The VGG block: 3 x 3 convolutions, then a pooling that halves the image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.cross_correlation import cross_correlation
from yisheng.scratch.max_pooling import max_pooling
from yisheng.scratch.relu import relu

Layer = tuple[Tensor, Tensor]
"""Kernels (O, C, 3, 3) and biases (O,)."""


def _plot(axes: Any) -> None:
    layers = ["3 x 3 convolution, relu", " 3 x 3 convolution, relu", "2 x 2 max pooling"]
    labels = ["(B, C, H, W)", *layers, "(B, O, H/2, W/2)"]
    boxes = {label: (0.0, float(-i)) for i, label in enumerate(labels)}
    _plots.draw_diagram(axes, boxes, list(itertools.pairwise(labels)))


@register(
    equation="h ← relu(conv3x3(h))  for each layer,   then y = max over windows of 2 x 2",
    usual="""
import torch
from torch import nn

def vgg_block(layers, inputs, outputs):
    convolutions = []
    for i in range(layers):
        convolutions += [nn.Conv2d(outputs if i else inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.MaxPool2d(2))

y = vgg_block(2, 3, 8)(torch.randn(2, 3, 28, 28))
""",
    when="""To build a network from equal parts (`yisheng train model=vgg11`): each block halves the image and doubles
the channels. Two 3 x 3 layers see as much as one 5 x 5, with 28% fewer weights and one more relu. Deeper than about
20 layers, use residual blocks.""",
    plot=_plot,
)
def vgg_block(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Apply 3 x 3 convolutions that keep the size, a relu after each, and a max pooling of 2 x 2.

    Args:
        x: images (B, C, H, W).
        layers: kernels (O, C, 3, 3) and biases (O,) of each convolution; O of a layer is C of the next.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015, section
    2; Zhang et al., "Dive into deep learning", 2023, section 8.2.

    >>> import torch
    >>> vgg_block(torch.ones(1, 1, 4, 4), [(torch.ones(2, 1, 3, 3), torch.zeros(2))])[0]
    tensor([[[9., 9.],
             [9., 9.]],
    <BLANKLINE>
            [[9., 9.],
             [9., 9.]]])
    """
    for w, b in layers:
        x = relu(cross_correlation(x, w, b, padding=1))
    return max_pooling(x, 2)
