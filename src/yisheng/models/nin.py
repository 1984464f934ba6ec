"""Network in network: convolutions that are small nets themselves, and an average in the place of linear layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._variants import LEAST_SMALL, choose, kaiming, last_bend, open_bend, xavier

LEAST = {"textbook": 67, "small": LEAST_SMALL}


@register(fits=lambda spec: spec.is_image, wants="images")
def nin(spec: Spec, *, style: Literal["auto", "small", "textbook"] = "auto") -> nn.Module:
    """NiN: each convolution is followed by two of 1 x 1, a small net at every pixel; the last maps are averaged.

    The last block has one map per output, and the average of a map over the image is that output: there is no
    linear layer, and so few weights to learn by heart.

    ``textbook`` has AlexNet's convolutions (96, 256, 384 channels; 1,992,166 parameters on one channel with ten
    classes). ``small`` is the paper's net for CIFAR-10: 192 channels, three blocks, dropout between them.

    In ``textbook`` every convolution is followed by a relu, the last one too, unless an output needs both signs
    (regression, labels, one output for two classes).

    Args:
        style: auto takes small for images up to 64 pixels (and where textbook needs more) and textbook for larger
            ones.

    Raises:
        UsageError: the images are too small for the style.

    Source: Lin, Chen and Yan, "Network in network", 2014, sections 3 and 4.2; Zhang et al., "Dive into Deep
    Learning", section 8.3 (textbook).

    >>> net = nin(Spec("classification", (3, 32, 32), classes=tuple("0123456789")))
    >>> sum(p.numel() for p in net.parameters())
    966986
    """
    form = choose("nin", spec, style, LEAST)
    net = (_textbook if form == "textbook" else _small)(spec)
    if form == "small":
        kaiming(net)
    else:
        xavier(net)
        _open(net.get_submodule("block4"))
    return net


def _open(block: nn.Module) -> None:
    """Let every relu of the last block begin open.

    It is as narrow as there are classes, so a closed relu is a tenth of it; begun around zero, whole rows find all
    of their classes shut and stay at the logarithm of the number of classes.
    """
    convolutions = [layer for layer in block.children() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        open_bend(layer)
    nn.init.normal_(convolutions[-1].weight, std=0.1)  # so that no output is far from the 1 that its bias makes


def _textbook(spec: Spec) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            block1=_block(spec.shape[0], (96, 96, 96), kernel=11, stride=4),
            pool1=nn.MaxPool2d(kernel_size=3, stride=2),
            block2=_block(96, (256, 256, 256), kernel=5, padding=2),
            pool2=nn.MaxPool2d(kernel_size=3, stride=2),
            block3=_block(256, (384, 384, 384), kernel=3, padding=1),
            pool3=nn.MaxPool2d(kernel_size=3, stride=2),
            dropout=nn.Dropout(),
            block4=_block(384, (spec.outputs,) * 3, kernel=3, padding=1, last=last_bend(spec)),
            average=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )


def _small(spec: Spec) -> nn.Module:
    # 32 -> 16 -> 8. No relu at the end: it would only keep a class whose map is negative everywhere from learning.
    return nn.Sequential(
        OrderedDict(
            block1=_block(spec.shape[0], (192, 160, 96), kernel=5, padding=2),
            pool1=nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
            dropout1=nn.Dropout(),
            block2=_block(96, (192, 192, 192), kernel=5, padding=2),
            pool2=nn.AvgPool2d(kernel_size=3, stride=2, ceil_mode=True),
            dropout2=nn.Dropout(),
            block3=_block(192, (192, 192, spec.outputs), kernel=3, padding=1, last=nn.Identity()),
            average=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )


def _block(
    channels: int,
    widths: tuple[int, int, int],
    *,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    last: nn.Module | None = None,
) -> nn.Sequential:
    """A convolution and two of 1 x 1, each with a relu; ``last`` in the place of the third one."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, widths[0], kernel, stride=stride, padding=padding),
            relu1=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(widths[0], widths[1], kernel_size=1),
            relu2=nn.ReLU(inplace=True),
            conv3=nn.Conv2d(widths[1], widths[2], kernel_size=1),
            relu3=last or nn.ReLU(inplace=True),
        )
    )
