"""LeNet-5: two convolutions and three fully connected layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec

MIN_SIDES = {"modern": 8, "classic": 12}
"""Smallest number of rows and columns of an image, by style."""
PAPER_SIDE = 32
"""Rows and columns of the paper's images: digits of 28 x 28 with a border of 2, which smaller images get by padding."""


@register(
    fits=lambda spec: spec.has_maps,
    requires="images",
    default_for=lambda spec: spec.has_maps,
    shape=(1, 28, 28),
)
def lenet(spec: Spec, *, style: Literal["modern", "classic"] = "modern") -> nn.Module:
    """Build LeNet-5: two convolutions with pooling (6 and 16 channels), then layers of 120, 84 and O units.

    ``classic`` is the textbook's: sigmoid, average pooling, no padding in the second convolution; 61,706
    parameters for ten classes on 28 x 28. The first convolution pads images below 32 x 32 by 2; those of 32 x 32 have
    the paper's sizes (6 maps of 28 x 28, 16 of 5 x 5) and the same number of parameters. Its loss does not fall in the
    first epochs of plain SGD, and it needs a learning rate near 0.9.

    ``modern`` has the same layers with later improvements: relu, max pooling and batch norm. Its second
    convolution is 3 x 3 and padded, so that it takes images from 8 x 8 on.

    Args:
        style: modern, which trains in a few epochs at any usual learning rate, or classic, to see the difference.

    Raises:
        UsageError: the images are too small to be pooled twice.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II-B;
    Zhang et al., "Dive into Deep Learning", section 7.6 (the classic form here).

    >>> net = lenet(Spec("classification", (1, 28, 28), classes=tuple("0123456789")), style="classic")
    >>> sum(p.numel() for p in net.parameters())
    61706
    """
    channels, height, width = spec.shape
    min_side = MIN_SIDES[style]
    if min(height, width) < min_side:
        raise UsageError(
            Message(
                "lenet style={style} needs images of at least {min_side} x {min_side} pixels, got {height} x {width}",
                style=style,
                min_side=min_side,
                height=height,
                width=width,
            ),
            Message("use style=modern or model=mlp")
            if min(height, width) >= MIN_SIDES["modern"]
            else Message("use model=mlp"),
        )
    return (_make_classic if style == "classic" else _make_modern)(channels, height, width, spec.outputs)


def _make_classic(channels: int, height: int, width: int, outputs: int) -> nn.Module:
    # 28, padded, and 32 -> 28 -> 14 -> 10 -> 5
    padding = 2 if min(height, width) < PAPER_SIDE else 0
    rows, columns = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width))
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 6, kernel_size=5, padding=padding),
            activation1=nn.Sigmoid(),
            pool1=nn.AvgPool2d(2),
            conv2=nn.Conv2d(6, 16, kernel_size=5),
            activation2=nn.Sigmoid(),
            pool2=nn.AvgPool2d(2),
            flatten=nn.Flatten(),
            linear3=nn.Linear(16 * rows * columns, 120),
            activation3=nn.Sigmoid(),
            linear4=nn.Linear(120, 84),
            activation4=nn.Sigmoid(),
            output=nn.Linear(84, outputs),
        )
    )


def _make_modern(channels: int, height: int, width: int, outputs: int) -> nn.Module:
    # 28 -> 28 -> 14 -> 14 -> 7. Pooled first, there are four times fewer values to normalise and to rectify;
    # relu and maximum commute, so that changes the cost and little else.
    features = 16 * (height // 4) * (width // 4)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 6, kernel_size=5, padding=2, bias=False),  # batch norm has a shift
            pool1=nn.MaxPool2d(2),
            norm1=nn.BatchNorm2d(6),
            activation1=nn.ReLU(),
            conv2=nn.Conv2d(6, 16, kernel_size=3, padding=1, bias=False),
            pool2=nn.MaxPool2d(2),
            norm2=nn.BatchNorm2d(16),
            activation2=nn.ReLU(),
            flatten=nn.Flatten(),
            linear3=nn.Linear(features, 120),
            activation3=nn.ReLU(),
            linear4=nn.Linear(120, 84),
            activation4=nn.ReLU(),
            output=nn.Linear(84, outputs),
        )
    )
