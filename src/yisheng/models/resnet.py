"""ResNet: a first convolution, four stages of residual blocks, an average and a linear layer."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import Variant, register
from yisheng.core.spec import Spec
from yisheng.models._residual_blocks import (
    BasicBlock,
    BlockFactory,
    BottleneckBlock,
    PreActivationBasicBlock,
    PreActivationBottleneckBlock,
)
from yisheng.models._styles import MIN_SIDE_OF_SMALL, choose_style, init_xavier

WIDTHS = (64, 128, 256, 512)
"""Channels inside the blocks of the four stages."""
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Blocks of the four stages, by depth."""
BOTTLENECK_EXPANSION = 4
MIN_SIDES = {"published": 32, "small": MIN_SIDE_OF_SMALL, "textbook": 32}
NOT_IN_TEXTBOOK = {"style": ("auto", "published", "small")}


@register(
    fits=lambda spec: spec.has_maps,
    requires="images",
    variants={
        "resnet18": {"depth": 18},
        "resnet34": Variant({"depth": 34}, choices=NOT_IN_TEXTBOOK),
        "resnet50": Variant({"depth": 50}, choices=NOT_IN_TEXTBOOK),
    },
)
def resnet(
    spec: Spec,
    *,
    depth: Literal[18, 34, 50] = 18,
    style: Literal["auto", "published", "small", "textbook"] = "auto",
    preactivation: bool = False,
) -> nn.Module:
    """Build a ResNet: a convolution, four stages of residual blocks, an average and a linear layer.

    ``published`` is as in torchvision, and its weight files fit: 11,689,512 parameters for 1000 classes with depth 18,
    21,797,672 with depth 34 and 25,557,032 with depth 50. ``small`` has a first convolution of 3 x 3 without stride,
    and no pool after it, as the paper has it for CIFAR-10; its other weights have the same names and shapes.
    ``textbook``, for depth 18, is the book's: convolutions with a bias, shortcuts without batch norm (11,178,378
    parameters on one channel with ten classes).

    Variants:
        resnet18: Build ResNet-18: a convolution, eight residual blocks of two convolutions, an average and a linear
            layer.
        resnet34: Build ResNet-34: a convolution, sixteen residual blocks of two convolutions, an average and a linear
            layer.
        resnet50: Build ResNet-50: a convolution, sixteen residual blocks of three convolutions, an average and a linear
            layer.

    Args:
        depth: number of layers with weights.
        style: auto takes small for images up to 64 pixels and published for larger ones.
        preactivation: whether batch norm and relu come before each convolution instead of after it; it helps deep
            networks more than shallow ones. Off, since the published weights have none.

    Raises:
        UsageError: the images are too small for the style, or textbook is combined with pre-activation.

    Source: He et al., "Deep residual learning for image recognition", 2016, table 1; He et al., "Identity mappings
    in deep residual networks", 2016 (pre-activation); Zhang et al., "Dive into Deep Learning", section 8.6 (textbook).

    >>> net = resnet(Spec("classification", (3, 224, 224), classes=tuple("0123456789")), depth=50)
    >>> net.get_submodule("fc")
    Linear(in_features=2048, out_features=10, bias=True)
    """
    form = choose_style(f"resnet{depth}", spec, style, MIN_SIDES)
    textbook = form == "textbook"
    if textbook and preactivation:
        raise UsageError(
            Message("resnet{depth} style=textbook has no pre-activation", depth=depth),
            Message("leave preactivation out, or use style=small"),
        )
    make_block = _choose_block(bottleneck=depth >= 50, preactivation=preactivation, textbook=textbook)
    expansion = BOTTLENECK_EXPANSION if depth >= 50 else 1
    modules = _make_stem(spec.shape[0], is_small=form == "small", bias=textbook, norm=not preactivation)
    channels = WIDTHS[0]
    for stage, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True), start=1):
        layers = []
        for block in range(blocks):
            layers.append(make_block(channels, width, 2 if stage > 1 and block == 0 else 1))
            channels = width * expansion
        modules[f"layer{stage}"] = nn.Sequential(*layers)
    if preactivation:  # the sum of all blocks has neither been normalized nor passed through a relu
        modules["norm"] = nn.BatchNorm2d(channels)
        modules["relu"] = nn.ReLU(inplace=True)
    modules["avgpool"] = nn.AdaptiveAvgPool2d(1)
    modules["flatten"] = nn.Flatten()
    modules["fc"] = nn.Linear(channels, spec.outputs)
    net = nn.Sequential(modules)
    if textbook:
        init_xavier(net)
    else:
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def _choose_block(*, bottleneck: bool, preactivation: bool, textbook: bool) -> BlockFactory:
    if bottleneck:
        return PreActivationBottleneckBlock if preactivation else BottleneckBlock
    return PreActivationBasicBlock if preactivation else functools.partial(BasicBlock, textbook=textbook)


def _make_stem(channels: int, *, is_small: bool, bias: bool, norm: bool) -> OrderedDict[str, nn.Module]:
    """Return the layers before the stages, which keep a quarter of the rows and columns, or all of a small image's."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if is_small:
        modules["conv1"] = nn.Conv2d(channels, WIDTHS[0], kernel_size=3, padding=1, bias=bias)
    else:
        modules["conv1"] = nn.Conv2d(channels, WIDTHS[0], kernel_size=7, stride=2, padding=3, bias=bias)
    if norm:  # a pre-activation block begins with its norm
        modules["bn1"] = nn.BatchNorm2d(WIDTHS[0])
        modules["relu"] = nn.ReLU(inplace=True)
    if not is_small:
        modules["maxpool"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    return modules
