"""Eight 3 x 3 convolutions in five blocks, and three linear layers."""

from __future__ import annotations

from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._vgg import Ratio, build

DEPTHS = (1, 1, 2, 2, 2)
"""Convolutions of the five blocks."""


@register(fits=lambda spec: spec.is_image, wants="images")
def vgg11(
    spec: Spec, *, style: Literal["auto", "published", "small", "textbook"] = "auto", ratio: Ratio = 1
) -> nn.Module:
    """VGG-11: eight 3 x 3 convolutions in blocks of 1, 1, 2, 2, 2, then three linear layers.

    ``published`` is configuration A as in torchvision (132,863,336 parameters for 1000 classes on three
    channels), and its weight files fit. ``small`` has the same convolutions, pools only while 2 cells or more
    are left, and has one linear layer on the averaged maps.
    ``textbook`` is the book's: without the fixed grid of cells, 128,806,154 parameters for ten classes on
    1 x 224 x 224, and 43,093,322 with ratio=4.

    Args:
        style: auto takes small for images up to 64 pixels and published for larger ones.
        ratio: what the channels of the convolutions are divided by; 4 makes them about 16 times cheaper, and is
            the textbook's choice for Fashion-MNIST.

    Raises:
        UsageError: the images are too small for the style.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015,
    table 1; Zhang et al., "Dive into Deep Learning", section 8.2 (textbook).

    >>> net = vgg11(Spec("classification", (1, 28, 28), classes=tuple("0123456789")), ratio=8)
    >>> [tuple(p.shape) for name, p in net.named_parameters() if name == "features.0.weight"]
    [(8, 1, 3, 3)]
    """
    return build("vgg11", DEPTHS, spec, style=style, ratio=ratio, in_textbook=True)
