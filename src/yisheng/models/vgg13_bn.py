"""Ten 3 x 3 convolutions with batch norm in five blocks, and three linear layers."""

from __future__ import annotations

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._vgg import Ratio, Style, build

DEPTHS = (2, 2, 2, 2, 2)
"""Convolutions of the five blocks."""


@register(fits=lambda spec: spec.is_image, wants="images")
def vgg13_bn(spec: Spec, *, style: Style = "auto", ratio: Ratio = 1) -> nn.Module:
    """VGG-13 with batch norm: ten 3 x 3 convolutions in five blocks, each normalised, and three linear layers.

    ``published`` is configuration B as in torchvision (133,053,736 parameters for 1000 classes on three
    channels), and its weight files fit. ``small`` has the same convolutions, pools only while 2 cells or more
    are left, and has one linear layer on the averaged maps.

    Args:
        style: auto takes small for images up to 64 pixels and published for larger ones.
        ratio: what the channels of the convolutions are divided by; 4 makes them about 16 times cheaper, and is
            the textbook's choice for Fashion-MNIST.

    Raises:
        UsageError: the images are too small for the style.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015,
    table 1; Ioffe and Szegedy, "Batch normalization", 2015.

    >>> net = vgg13_bn(Spec("classification", (1, 28, 28), classes=tuple("0123456789")), ratio=8)
    >>> [tuple(p.shape) for name, p in net.named_parameters() if name == "features.0.weight"]
    [(8, 1, 3, 3)]
    """
    return build("vgg13-bn", DEPTHS, spec, style=style, ratio=ratio, batch_norm=True)
