"""The block of Network in Network: a convolution, then two layers that mix the channels of each pixel."""

from __future__ import annotations

import itertools
from typing import Any

from torch import Tensor

from yisheng.core.registry import register
from yisheng.scratch import _plots
from yisheng.scratch.convolution_1x1 import convolution_1x1
from yisheng.scratch.cross_correlation import cross_correlation
from yisheng.scratch.relu import relu

Layer = tuple[Tensor, Tensor]
"""Weights and biases."""


def _plot(axes: Any) -> None:
    layers = [f"{size} convolution, relu" for size in ("k x k", "1 x 1", " 1 x 1")]
    labels = ["(B, C, H, W)", *layers, "(B, O, H', W')"]
    boxes = {label: (0.0, float(-i)) for i, label in enumerate(labels)}
    _plots.draw_diagram(axes, boxes, list(itertools.pairwise(labels)))


@register(
    equation="y = relu(conv1x1(relu(conv1x1(relu(conv(x))))))",
    usual="""
import torch
from torch import nn

def nin_block(inputs, outputs, kernel, stride, padding):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 1), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 1), nn.ReLU())

y = nin_block(3, 8, 5, 1, 2)(torch.randn(2, 3, 28, 28))
""",
    when="""To replace large linear layers (`yisheng train model=nin`): a small network is applied to every pixel, and
the last block has a channel for each class, whose mean over the image is its logit. Far fewer parameters than
AlexNet, slower to train.""",
    plot=_plot,
)
def nin_block(x: Tensor, spatial: Layer, mix1: Layer, mix2: Layer, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Apply a convolution and two 1 x 1 convolutions, a relu after each.

    Args:
        x: images (B, C, H, W).
        spatial: kernels (O, C, k, k) and biases (O,).
        mix1: matrix (O, O) and biases (O,) of the first 1 x 1 convolution.
        mix2: matrix (O, O) and biases (O,) of the second.
        stride: of the first convolution.
        padding: of the first convolution.

    Source: Lin, Chen and Yan, "Network in network", 2014, section 3.1; Zhang et al., "Dive into deep learning", 2023,
    section 8.3.

    >>> import torch
    >>> identity = torch.eye(1), torch.zeros(1)
    >>> nin_block(torch.ones(1, 1, 2, 2), (torch.ones(1, 1, 2, 2), torch.zeros(1)), identity, identity)
    tensor([[[[4.]]]])
    """
    x = relu(cross_correlation(x, *spatial, stride=stride, padding=padding))
    for w, b in (mix1, mix2):
        x = relu(convolution_1x1(x, w, b))
    return x
