"""What the ResNets share: a first convolution, four stages of residual blocks, an average and a linear layer."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.types import Spec
from yisheng.models._residual import Basic, Block, Bottleneck, PreBasic, PreBottleneck
from yisheng.models._variants import LEAST_SMALL, choose, xavier

Style = Literal["auto", "published", "small"]

WIDTHS = (64, 128, 256, 512)
"""Channels inside the blocks of the four stages."""


def build(
    name: str,
    depths: Sequence[int],
    spec: Spec,
    *,
    style: str,
    preactivation: bool,
    bottleneck: bool = False,
    in_textbook: bool = False,
) -> nn.Module:
    """A ResNet.

    Args:
        name: for errors.
        depths: blocks in each of the four stages.
        spec: the contract.
        style: auto, published, small or textbook.
        preactivation: whether norm and relu come before each convolution.
        bottleneck: whether blocks have three convolutions, the outer ones 1 x 1.
        in_textbook: whether the textbook has it.

    Raises:
        UsageError: the images are too small for the style, or the options contradict each other.
    """
    least = {"published": 32, "small": LEAST_SMALL, **({"textbook": 32} if in_textbook else {})}
    form = choose(name, spec, style, least)
    textbook = form == "textbook"
    if textbook and preactivation:
        raise UsageError(f"{name} style=textbook has no pre-activation", "leave preactivation out, or take style=small")
    block: Block
    if bottleneck:
        block = PreBottleneck if preactivation else Bottleneck
    else:
        block = PreBasic if preactivation else functools.partial(Basic, textbook=textbook)
    parts = _stem(spec.shape[0], small=form == "small", bias=textbook, norm=not preactivation)
    channels = WIDTHS[0]
    for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), start=1):
        blocks = []
        for i in range(depth):
            blocks.append(block(channels, width, 2 if stage > 1 and i == 0 else 1))
            channels = width * (4 if bottleneck else 1)
        parts[f"layer{stage}"] = nn.Sequential(*blocks)
    if preactivation:  # the sum of all blocks has been neither normalised nor bent
        parts["norm"] = nn.BatchNorm2d(channels)
        parts["relu"] = nn.ReLU(inplace=True)
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(channels, spec.outputs)
    net = nn.Sequential(parts)
    if textbook:
        xavier(net)
    else:
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def _stem(channels: int, *, small: bool, bias: bool, norm: bool) -> OrderedDict[str, nn.Module]:
    """What comes before the stages: it leaves a quarter of the rows and columns, or all of a small image's."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if small:
        parts["conv1"] = nn.Conv2d(channels, WIDTHS[0], kernel_size=3, padding=1, bias=bias)
    else:
        parts["conv1"] = nn.Conv2d(channels, WIDTHS[0], kernel_size=7, stride=2, padding=3, bias=bias)
    if norm:  # with pre-activation the first block begins with its own
        parts["bn1"] = nn.BatchNorm2d(WIDTHS[0])
        parts["relu"] = nn.ReLU(inplace=True)
    if not small:
        parts["maxpool"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    return parts
