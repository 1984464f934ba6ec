"""Eight residual blocks of two convolutions."""

from __future__ import annotations

from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._resnet import build

DEPTHS = (2, 2, 2, 2)
"""Blocks of the four stages."""


@register(fits=lambda spec: spec.is_image, wants="images")
def resnet18(
    spec: Spec,
    *,
    style: Literal["auto", "published", "small", "textbook"] = "auto",
    preactivation: bool = False,
) -> nn.Module:
    """ResNet-18: a convolution, eight residual blocks of two convolutions, an average and a linear layer.

    ``published`` is torchvision's (11,689,512 parameters for 1000 classes), and its weight files fit. ``small`` has
    a first convolution of 3 x 3 that looks at every pixel, and no pool after it, as the paper has it for
    CIFAR-10; its other weights have the same names and shapes.
    ``textbook`` is the book's: convolutions with a bias, short cuts without batch norm (11,178,378 parameters
    on one channel with ten classes).

    Args:
        style: auto takes small for images up to 64 pixels and published for larger ones.
        preactivation: whether batch norm and relu come before each convolution instead of after it; it helps the
            more, the deeper the net is. Off, since the published weights have none.

    Raises:
        UsageError: the images are too small for the style, or textbook is asked for with pre-activation.

    Source: He et al., "Deep residual learning for image recognition", 2016, table 1; He et al., "Identity mappings
    in deep residual networks", 2016 (pre-activation); Zhang et al., "Dive into Deep Learning", section 8.6 (textbook).

    >>> net = resnet18(Spec("classification", (3, 224, 224), classes=tuple("0123456789")))
    >>> net.get_submodule("fc")
    Linear(in_features=512, out_features=10, bias=True)
    """
    return build(
        "resnet18",
        DEPTHS,
        spec,
        style=style,
        preactivation=preactivation,
        in_textbook=True,
    )
