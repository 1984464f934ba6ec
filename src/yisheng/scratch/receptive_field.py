"""The receptive field: how much of the input one output depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yisheng.core.registry import register
from yisheng.scratch._plots import COLORS

NETWORKS = {
    "LeNet": ((5, 1), (2, 2), (5, 1), (2, 2)),
    "VGG-11": ((3, 1), (2, 2), (3, 1), (2, 2), *[(3, 1), (3, 1), (2, 2)] * 3),
    "AlexNet": ((11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)),
}
"""Kernel and stride of the convolutions and poolings."""


def _plot(axes: Any) -> None:
    for (name, layers), color in zip(NETWORKS.items(), COLORS, strict=False):
        sizes = [receptive_field(layers[:depth])[0] for depth in range(len(layers) + 1)]
        axes.plot(sizes, "o-", markersize=4, color=color, label=name)
    axes.set(xlabel="layer", ylabel="pixels that one output depends on, per axis")
    axes.legend()


@register(
    equation="""r₀ = 1,   j₀ = 1
r_l = r_(l−1) + (k_l − 1) j_(l−1),     j_l = j_(l−1) stride_l""",
    usual="""
import torch
layers = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3), torch.nn.MaxPool2d(2), torch.nn.Conv2d(1, 1, 3))
x = torch.rand(1, 1, 20, 20, requires_grad=True)
y = layers(x)
y[0, 0, 3, 3].backward()
pixels = x.grad[0, 0].nonzero()  # those that the output depends on
""",
    when="""To check that the last convolution sees an object as a whole: a receptive field below its size cannot. Two 3
x 3 layers see as much as one 5 x 5 with fewer weights (VGG); stride and pooling make it grow fastest. Pixels in its
middle count most.""",
    plot=_plot,
)
def receptive_field(layers: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Compute the pixels along one axis that an output depends on, and the distance between those of neighbors.

    Args:
        layers: size of the kernel or window and stride of each convolution and pooling, in order; the stride is at
            most the size.

    Source: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill, 2019; Zhang
    et al., "Dive into deep learning", 2023, section 7.2.6.

    >>> receptive_field([(3, 1), (3, 1)]), receptive_field([(5, 1), (2, 2), (5, 1), (2, 2)])
    ((5, 1), (16, 4))
    """
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
    return size, jump
