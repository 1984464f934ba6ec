"""Network in network: blocks of a convolution and two 1 x 1 convolutions, and an average instead of linear layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._styles import (
    MIN_SIDE_OF_SMALL,
    choose_style,
    init_kaiming,
    init_xavier,
    make_final_activation,
    set_bias_to_one,
)

MIN_SIDES = {"textbook": 67, "small": MIN_SIDE_OF_SMALL}


@register(fits=lambda spec: spec.has_maps, requires="images")
def nin(spec: Spec, *, style: Literal["auto", "small", "textbook"] = "auto") -> nn.Module:
    """Build NiN: each convolution is followed by two of 1 x 1, a small network at every pixel; the maps are averaged.

    The last block has one map per output, and the average of a map over the image is that output: there is no
    linear layer, and so there are few weights that could memorize the images.

    ``textbook`` has AlexNet's convolutions (96, 256, 384 channels; 1,992,166 parameters on one channel with ten
    classes). ``small`` is the paper's net for CIFAR-10: 192 channels, three blocks, dropout between them.

    In ``textbook`` every convolution is followed by a relu, including the last one unless an output needs both signs
    (regression, labels, one output for two classes).

    Args:
        style: auto takes small for images up to 64 pixels (and up to 66, which is too small for textbook) and
            textbook for larger ones.

    Raises:
        UsageError: the images are too small for the style.

    Source: Lin, Chen and Yan, "Network in network", 2014, sections 3 and 4.2; Zhang et al., "Dive into Deep
    Learning", section 8.3 (textbook).

    >>> net = nin(Spec("classification", (3, 32, 32), classes=tuple("0123456789")))
    >>> sum(p.numel() for p in net.parameters())
    966986
    """
    form = choose_style("nin", spec, style, MIN_SIDES)
    net = (_make_textbook if form == "textbook" else _make_small)(spec)
    if form == "small":
        init_kaiming(net)
    else:
        init_xavier(net)
        _activate_relus(net.get_submodule("block4"))
    return net


def _activate_relus(block: nn.Module) -> None:
    """Initialize the last block so that all of its relus are active.

    It has as many channels as classes, so an inactive relu is a tenth of it. Initialized around zero, some rows have
    no active class, and their loss stays at the logarithm of the number of classes.
    """
    convolutions = [layer for layer in block.children() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        set_bias_to_one(layer)
    nn.init.normal_(convolutions[-1].weight, std=0.1)  # keeps all outputs near the 1 of the bias


def _make_textbook(spec: Spec) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            block1=_make_block(spec.shape[0], (96, 96, 96), kernel=11, stride=4),
            pool1=nn.MaxPool2d(kernel_size=3, stride=2),
            block2=_make_block(96, (256, 256, 256), kernel=5, padding=2),
            pool2=nn.MaxPool2d(kernel_size=3, stride=2),
            block3=_make_block(256, (384, 384, 384), kernel=3, padding=1),
            pool3=nn.MaxPool2d(kernel_size=3, stride=2),
            dropout=nn.Dropout(),
            block4=_make_block(
                384, (spec.outputs,) * 3, kernel=3, padding=1, final_activation=make_final_activation(spec)
            ),
            average=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )


def _make_small(spec: Spec) -> nn.Module:
    # 32 -> 16 -> 8. There is no relu at the end: it would keep a class whose map is negative everywhere from learning.
    return nn.Sequential(
        OrderedDict(
            block1=_make_block(spec.shape[0], (192, 160, 96), kernel=5, padding=2),
            pool1=nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
            dropout1=nn.Dropout(),
            block2=_make_block(96, (192, 192, 192), kernel=5, padding=2),
            pool2=nn.AvgPool2d(kernel_size=3, stride=2, ceil_mode=True),
            dropout2=nn.Dropout(),
            block3=_make_block(192, (192, 192, spec.outputs), kernel=3, padding=1, final_activation=nn.Identity()),
            average=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )


def _make_block(
    channels: int,
    widths: tuple[int, int, int],
    *,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    final_activation: nn.Module | None = None,
) -> nn.Sequential:
    """Make a convolution and two of 1 x 1, each with a relu; ``final_activation`` replaces the third relu."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, widths[0], kernel, stride=stride, padding=padding),
            relu1=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(widths[0], widths[1], kernel_size=1),
            relu2=nn.ReLU(inplace=True),
            conv3=nn.Conv2d(widths[1], widths[2], kernel_size=1),
            relu3=final_activation or nn.ReLU(inplace=True),
        )
    )
