"""SqueezeNet: AlexNet's accuracy with a fiftieth of its weights, from eight fire modules."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._styles import MIN_SIDE_OF_SMALL, choose_style, make_final_activation, set_bias_to_one

Version = Literal["1.0", "1.1"]
MIN_SIDES = {
    "1.0": {"published": 21, "small": MIN_SIDE_OF_SMALL},
    "1.1": {"published": 17, "small": MIN_SIDE_OF_SMALL},
}


@register(
    fits=lambda spec: spec.has_maps,
    requires="images",
    variants={"squeezenet1-0": {"version": "1.0"}, "squeezenet1-1": {"version": "1.1"}},
)
def squeezenet(
    spec: Spec, *, version: Version = "1.1", style: Literal["auto", "published", "small"] = "auto"
) -> nn.Module:
    """Build a SqueezeNet: one convolution, eight fire modules, and one map per output, averaged.

    ``published`` is as in torchvision, and its weight files fit. Version 1.0 (1,248,424 parameters for 1000 classes)
    begins with a convolution of 7 x 7 with 96 channels and stride 2, version 1.1 (1,235,496 parameters) with one of
    3 x 3 with 64 channels and stride 2. The first convolution of ``small`` is 3 x 3 without stride, and the pool after
    it is left out.

    After the last convolution ``published`` has a relu, unless an output needs both signs (regression, labels,
    one output for two classes). ``small`` has none: it would only keep a class whose map is negative everywhere
    from learning. There is no batch norm: trained from scratch with momentum it needs a learning rate of 0.02 or
    less, and does not learn at 0.05.

    Variants:
        squeezenet1-0: Build SqueezeNet 1.0: one convolution, eight fire modules, and one map per output, averaged.
        squeezenet1-1: Build SqueezeNet 1.1: as 1.0, with a smaller first convolution and earlier pools, at less than
            half of its cost.

    Args:
        version: 1.1 needs less than half of the multiply-adds of 1.0.
        style: auto takes small for images up to 64 pixels and published for larger ones.

    Raises:
        UsageError: the images are too small for the style.

    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    2016, table 1; version 1.1 is in the authors' repository.

    >>> net = squeezenet(Spec("classification", (3, 224, 224), classes=tuple("0123456789")))
    >>> net.get_submodule("classifier.1")
    Conv2d(512, 10, kernel_size=(1, 1), stride=(1, 1))
    """
    form = choose_style(f"squeezenet{version.replace('.', '-')}", spec, style, MIN_SIDES[version])
    is_small = form == "small"
    width, kernel_size = (96, 7) if version == "1.0" else (64, 3)
    conv = nn.Conv2d(spec.shape[0], width, kernel_size=kernel_size, stride=2)
    if is_small:  # replaced, not skipped: the draws of both belong to the sequence of a seed
        conv = nn.Conv2d(spec.shape[0], width, kernel_size=3, padding=1)
    # An identity replaces the pool that is left out, so that the names of the weights stay.
    pool = nn.Identity() if is_small else _make_pool()
    fire_modules = _make_fire_modules_1_0() if version == "1.0" else _make_fire_modules_1_1()
    last_conv = nn.Conv2d(512, spec.outputs, kernel_size=1)
    activation = nn.Identity() if is_small else make_final_activation(spec)
    features = nn.Sequential(conv, nn.ReLU(inplace=True), pool, *fire_modules)
    classifier = nn.Sequential(nn.Dropout(), last_conv, activation, nn.AdaptiveAvgPool2d(1))
    net = nn.Sequential(OrderedDict(features=features, classifier=classifier, flatten=nn.Flatten()))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if module is last_conv:
                nn.init.normal_(module.weight, std=0.01)
            else:
                nn.init.kaiming_uniform_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    if isinstance(activation, nn.ReLU):
        set_bias_to_one(last_conv)
    return net


class Fire(nn.Module):
    """A 1 x 1 convolution to few channels, followed by 1 x 1 and 3 x 3 convolutions in parallel.

    y = [relu(expand1x1(s)), relu(expand3x3(s))] with s = relu(squeeze(x)).

    Args:
        channels: of the input.
        squeezed: channels between, few so that the 3 x 3 convolution is cheap.
        expanded: channels of each of the two halves of the output.

    >>> Fire(96, 16, 64)(torch.zeros(1, 96, 5, 5)).shape
    torch.Size([1, 128, 5, 5])
    """

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, C, H, W)`` to ``(B, 2 * expanded, H, W)``."""
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], dim=1
        )


def _make_fire_modules_1_0() -> list[nn.Module]:
    return [
        Fire(96, 16, 64),
        Fire(128, 16, 64),
        Fire(128, 32, 128),
        _make_pool(),
        Fire(256, 32, 128),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        _make_pool(),
        Fire(512, 64, 256),
    ]


def _make_fire_modules_1_1() -> list[nn.Module]:
    return [
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        _make_pool(),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        _make_pool(),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    ]


def _make_pool() -> nn.MaxPool2d:
    """Make a pool that halves rows and columns, and counts the last one of an odd number in."""
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
