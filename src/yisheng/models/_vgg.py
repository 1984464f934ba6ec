"""What the VGG nets share: blocks of 3 x 3 convolutions, each block ending in a pool."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core.types import Spec
from yisheng.models._variants import LEAST_SMALL, choose, kaiming, xavier

Style = Literal["auto", "published", "small"]
Ratio = Annotated[int, Interval(ge=1, le=64)]

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five blocks."""


def build(
    name: str,
    depths: Sequence[int],
    spec: Spec,
    *,
    style: str,
    ratio: int,
    batch_norm: bool = False,
    in_textbook: bool = False,
) -> nn.Module:
    """A VGG net.

    Args:
        name: for errors.
        depths: convolutions in each of the five blocks.
        spec: the contract.
        style: auto, published, small or textbook.
        ratio: what the channels of the convolutions are divided by.
        batch_norm: whether every convolution is normalised.
        in_textbook: whether the textbook has it.

    Raises:
        UsageError: the images are too small for the style.
    """
    least = {"published": 32, "small": LEAST_SMALL, **({"textbook": 32} if in_textbook else {})}
    form = choose(name, spec, style, least)
    widths = [width // ratio for width in WIDTHS]
    sides = (spec.shape[1], spec.shape[2])
    pools = _pools(min(sides)) if form == "small" else len(WIDTHS)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["features"] = nn.Sequential(*_features(spec.shape[0], widths, depths, pools=pools, batch_norm=batch_norm))
    cells = {"published": (7, 7), "small": (1, 1), "textbook": (sides[0] >> pools, sides[1] >> pools)}[form]
    if form != "textbook":  # a fixed grid of cells, so that the linear layers fit images of any size
        parts["avgpool"] = nn.AdaptiveAvgPool2d(cells)
    parts["flatten"] = nn.Flatten()
    inputs = widths[-1] * cells[0] * cells[1]
    if form == "small":
        # Wide linear layers behind normalised features overshoot at the learning rates that the convolutions like.
        parts["classifier"] = nn.Sequential(nn.Dropout(), nn.Linear(inputs, spec.outputs))
    else:
        parts["classifier"] = _classifier(inputs, spec.outputs)
    net = nn.Sequential(parts)
    if form == "textbook":
        xavier(net)
    else:
        kaiming(net, linear=0.01 if form == "published" else None)
        _allow_for_padding(net.get_submodule("features"), sides)
    return net


def _pools(side: int) -> int:
    """How often a small image is halved: as long as 2 cells or more are left, five times at most."""
    return min(len(WIDTHS), max(1, side.bit_length() - 2))


def _features(
    channels: int, widths: Sequence[int], depths: Sequence[int], *, pools: int, batch_norm: bool
) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for block, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        # A pool that is left out keeps its place: the layers' numbers, and so the names of the weights, stay.
        layers.append(nn.MaxPool2d(2) if block < pools else nn.Identity())
    return layers


@torch.no_grad()
def _allow_for_padding(features: nn.Module, sides: tuple[int, int]) -> None:
    """Scale the first weights up where much of what a convolution sees is padding.

    Kaiming's variance counts nine inputs for every cell. A cell at the edge has six and one in a corner four, so
    on 2 x 2 cells every layer would shrink the signal by 4/9, and eight such layers in a row to nothing.
    """
    rows, columns = sides
    for layer in features.children():
        if isinstance(layer, nn.MaxPool2d):
            rows, columns = rows // 2, columns // 2
        elif isinstance(layer, nn.Conv2d):
            seen = (3 * rows - 2) * (3 * columns - 2) / (rows * columns)  # inputs of a cell, on average
            layer.weight.mul_(math.sqrt(9 / seen))


def _classifier(features: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, outputs),
    )
