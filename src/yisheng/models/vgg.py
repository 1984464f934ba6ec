"""VGG: blocks of 3 x 3 convolutions, each block ending in a pooling layer."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core.registry import Variant, register
from yisheng.core.spec import Spec
from yisheng.models._styles import MIN_SIDE_OF_SMALL, choose_style, init_kaiming, init_xavier

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five blocks."""
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of the five blocks, by depth: the paper's configurations A, B, D and E."""
MIN_SIDES = {"published": 32, "small": MIN_SIDE_OF_SMALL, "textbook": 32}
NOT_IN_TEXTBOOK = {"style": ("auto", "published", "small")}


@register(
    fits=lambda spec: spec.has_maps,
    requires="images",
    variants={
        "vgg11": {"depth": 11, "batch_norm": False},
        "vgg11-bn": Variant({"depth": 11, "batch_norm": True}, choices=NOT_IN_TEXTBOOK),
        "vgg13": Variant({"depth": 13, "batch_norm": False}, choices=NOT_IN_TEXTBOOK),
        "vgg13-bn": Variant({"depth": 13, "batch_norm": True}, choices=NOT_IN_TEXTBOOK),
        "vgg16": Variant({"depth": 16, "batch_norm": False}, choices=NOT_IN_TEXTBOOK),
        "vgg16-bn": Variant({"depth": 16, "batch_norm": True}, choices=NOT_IN_TEXTBOOK),
        "vgg19": Variant({"depth": 19, "batch_norm": False}, choices=NOT_IN_TEXTBOOK),
        "vgg19-bn": Variant({"depth": 19, "batch_norm": True}, choices=NOT_IN_TEXTBOOK),
    },
)
def vgg(
    spec: Spec,
    *,
    depth: Literal[11, 13, 16, 19] = 16,
    batch_norm: bool = False,
    style: Literal["auto", "published", "small", "textbook"] = "auto",
    ratio: Annotated[int, Interval(ge=1, le=64)] = 1,
) -> nn.Module:
    """Build a VGG network: 3 x 3 convolutions in five blocks, then three linear layers.

    ``published`` is as in torchvision, and its weight files fit. Parameters for 1000 classes on three channels:

    | depth | configuration | without batch norm | with batch norm |
    |---|---|---|---|
    | 11 | A | 132,863,336 | 132,868,840 |
    | 13 | B | 133,047,848 | 133,053,736 |
    | 16 | D | 138,357,544 | 138,365,992 |
    | 19 | E | 143,667,240 | 143,678,248 |

    ``small`` has the same convolutions, pools only while 2 cells or more are left, and has one linear layer on the
    averaged maps. ``textbook``, for depth 11, is the book's: without the fixed grid of cells, 128,806,154 parameters
    for ten classes on 1 x 224 x 224, and 43,093,322 with ratio=4.

    Variants:
        vgg11: Build VGG-11: eight 3 x 3 convolutions in blocks of 1, 1, 2, 2, 2, then three linear layers.
        vgg11-bn: Build VGG-11 with batch norm: eight 3 x 3 convolutions in five blocks, each normalized, and three
            linear layers.
        vgg13: Build VGG-13: ten 3 x 3 convolutions in blocks of 2, 2, 2, 2, 2, then three linear layers.
        vgg13-bn: Build VGG-13 with batch norm: ten 3 x 3 convolutions in five blocks, each normalized, and three linear
            layers.
        vgg16: Build VGG-16: thirteen 3 x 3 convolutions in blocks of 2, 2, 3, 3, 3, then three linear layers.
        vgg16-bn: Build VGG-16 with batch norm: thirteen 3 x 3 convolutions in five blocks, each normalized, and three
            linear layers.
        vgg19: Build VGG-19: sixteen 3 x 3 convolutions in blocks of 2, 2, 4, 4, 4, then three linear layers.
        vgg19-bn: Build VGG-19 with batch norm: sixteen 3 x 3 convolutions in five blocks, each normalized, and three
            linear layers.

    Args:
        depth: number of layers with weights.
        batch_norm: whether every convolution is normalized.
        style: auto takes small for images up to 64 pixels and published for larger ones.
        ratio: what the channels of the convolutions are divided by; 4 makes them about 16 times cheaper, and is
            the textbook's choice for Fashion-MNIST.

    Raises:
        UsageError: the images are too small for the style.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015,
    table 1; Ioffe and Szegedy, "Batch normalization", 2015; Zhang et al., "Dive into Deep Learning", section 8.2
    (textbook).

    >>> net = vgg(Spec("classification", (1, 28, 28), classes=tuple("0123456789")), depth=11, ratio=8)
    >>> [tuple(p.shape) for name, p in net.named_parameters() if name == "features.0.weight"]
    [(8, 1, 3, 3)]
    """
    form = choose_style(f"vgg{depth}{'-bn' * batch_norm}", spec, style, MIN_SIDES)
    widths = [width // ratio for width in WIDTHS]
    sides = (spec.shape[1], spec.shape[2])
    pools = _count_pools(min(sides)) if form == "small" else len(WIDTHS)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    modules["features"] = nn.Sequential(
        *_make_features(spec.shape[0], widths, CONVOLUTIONS[depth], pools=pools, batch_norm=batch_norm)
    )
    cells = {"published": (7, 7), "small": (1, 1), "textbook": (sides[0] >> pools, sides[1] >> pools)}[form]
    if form != "textbook":  # a fixed grid of cells, so that the linear layers fit images of any size
        modules["avgpool"] = nn.AdaptiveAvgPool2d(cells)
    modules["flatten"] = nn.Flatten()
    inputs = widths[-1] * cells[0] * cells[1]
    if form == "small":
        # Wide linear layers after normalized features overshoot at the learning rates that suit the convolutions.
        modules["classifier"] = nn.Sequential(nn.Dropout(), nn.Linear(inputs, spec.outputs))
    else:
        modules["classifier"] = _make_classifier(inputs, spec.outputs)
    net = nn.Sequential(modules)
    if form == "textbook":
        init_xavier(net)
    else:
        init_kaiming(net, linear_std=0.01 if form == "published" else None)
        _compensate_padding(net.get_submodule("features"), sides)
    return net


def _count_pools(side: int) -> int:
    """Return how often a small image is halved: while 2 cells or more are left, five times at most."""
    return min(len(WIDTHS), max(1, side.bit_length() - 2))


def _make_features(
    channels: int, widths: Sequence[int], convolutions: Sequence[int], *, pools: int, batch_norm: bool
) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for block, (width, depth) in enumerate(zip(widths, convolutions, strict=True)):
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        # An identity replaces a pool that is left out, so that the layers' numbers, and the weights' names, stay.
        layers.append(nn.MaxPool2d(2) if block < pools else nn.Identity())
    return layers


@torch.no_grad()
def _compensate_padding(features: nn.Module, sides: tuple[int, int]) -> None:
    """Scale the initial weights up where many inputs of a convolution are padding.

    Kaiming's variance counts nine inputs for every cell. A cell at the edge has six and one in a corner four, so
    on 2 x 2 cells every layer would shrink the signal by 4/9, and eight such layers in a row to nothing.
    """
    rows, columns = sides
    for layer in features.children():
        if isinstance(layer, nn.MaxPool2d):
            rows, columns = rows // 2, columns // 2
        elif isinstance(layer, nn.Conv2d):
            inputs_per_cell = (3 * rows - 2) * (3 * columns - 2) / (rows * columns)
            layer.weight.mul_(math.sqrt(9 / inputs_per_cell))


def _make_classifier(features: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, outputs),
    )
