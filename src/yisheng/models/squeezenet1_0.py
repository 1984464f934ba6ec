"""AlexNet's accuracy with a fiftieth of its weights: eight fire modules."""

from __future__ import annotations

from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._fire import Fire, build, pool
from yisheng.models._variants import LEAST_SMALL, choose, last_bend

LEAST = {"published": 21, "small": LEAST_SMALL}


@register(fits=lambda spec: spec.is_image, wants="images")
def squeezenet1_0(spec: Spec, *, style: Literal["auto", "published", "small"] = "auto") -> nn.Module:
    """SqueezeNet 1.0: one convolution, eight fire modules, and one map per output, averaged.

    ``published`` is torchvision's (1,248,424 parameters for 1000 classes), and its weight files fit.
    Its first convolution is 7 x 7 with 96 channels and stride 2; that of ``small`` is 3 x 3 and looks at every pixel,
    and the pool after it is left out.

    After the last convolution ``published`` has a relu, unless an output needs both signs (regression, labels,
    one output for two classes). ``small`` has none: it would only keep a class whose map is negative everywhere
    from learning. There is no batch norm: trained from scratch with momentum it needs a learning rate of 0.02 or
    less, and stands still at 0.05.

    Args:
        style: auto takes small for images up to 64 pixels and published for larger ones.

    Raises:
        UsageError: the images are too small for the style.

    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    2016, table 1.

    >>> net = squeezenet1_0(Spec("classification", (3, 224, 224), classes=tuple("0123456789")))
    >>> net.get_submodule("classifier.1")
    Conv2d(512, 10, kernel_size=(1, 1), stride=(1, 1))
    """
    form = choose("squeezenet1-0", spec, style, LEAST)
    channels = spec.shape[0]
    first: nn.Conv2d = nn.Conv2d(channels, 96, kernel_size=7, stride=2)
    first_pool: nn.Module = pool()
    if form == "small":  # a layer left out keeps its place, and so the names of the weights stay
        first, first_pool = nn.Conv2d(channels, 96, kernel_size=3, padding=1), nn.Identity()
    layers = [
        first_pool,
        Fire(96, 16, 64),
        Fire(128, 16, 64),
        Fire(128, 32, 128),
        pool(),
        Fire(256, 32, 128),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        pool(),
        Fire(512, 64, 256),
    ]
    return build(first, layers, nn.Identity() if form == "small" else last_bend(spec), spec)
