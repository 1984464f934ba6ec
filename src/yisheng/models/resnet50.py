"""Sixteen residual blocks of three convolutions, two of them 1 x 1."""

from __future__ import annotations

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._resnet import Style, build

DEPTHS = (3, 4, 6, 3)
"""Blocks of the four stages."""


@register(fits=lambda spec: spec.is_image, wants="images")
def resnet50(
    spec: Spec,
    *,
    style: Style = "auto",
    preactivation: bool = False,
) -> nn.Module:
    """ResNet-50: a convolution, sixteen residual blocks of three convolutions, an average and a linear layer.

    ``published`` is torchvision's (25,557,032 parameters for 1000 classes), and its weight files fit. ``small`` has
    a first convolution of 3 x 3 that looks at every pixel, and no pool after it, as the paper has it for
    CIFAR-10; its other weights have the same names and shapes.

    Args:
        style: auto takes small for images up to 64 pixels and published for larger ones.
        preactivation: whether batch norm and relu come before each convolution instead of after it; it helps the
            more, the deeper the net is. Off, since the published weights have none.

    Raises:
        UsageError: the images are too small for the style.

    Source: He et al., "Deep residual learning for image recognition", 2016, table 1; He et al., "Identity mappings
    in deep residual networks", 2016 (pre-activation).

    >>> net = resnet50(Spec("classification", (3, 224, 224), classes=tuple("0123456789")))
    >>> net.get_submodule("fc")
    Linear(in_features=2048, out_features=10, bias=True)
    """
    return build(
        "resnet50",
        DEPTHS,
        spec,
        style=style,
        preactivation=preactivation,
        bottleneck=True,
    )
