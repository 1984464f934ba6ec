"""Nine inception blocks: many narrow convolutions of several sizes, and few weights."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._inception import Conv, Inception, stages
from yisheng.models._variants import LEAST_SMALL, choose, kaiming, xavier

LEAST = {"published": 32, "small": LEAST_SMALL, "textbook": 32}


@register(fits=lambda spec: spec.is_image, wants="images")
def googlenet(
    spec: Spec,
    *,
    style: Literal["auto", "published", "small", "textbook"] = "auto",
    batch_norm: Literal["auto"] | bool = "auto",
) -> nn.Module:
    """GoogLeNet (Inception v1): three convolutions, nine inception blocks, an average and a linear layer.

    ``published`` is torchvision's, with batch norm (6,624,904 parameters for 1000 classes). Its weight file fits
    but for the two auxiliary heads (``aux1.*``, ``aux2.*``): they served the training of those weights and are
    left out here, as torchvision leaves them out after loading. Those weights want pixels from -1 to 1 (mean and
    deviation 0.5 of pixel / 255), which torchvision sees to by its ``transform_input``. ``small`` has a first
    convolution of 3 x 3 that looks at every pixel, and no pool after it. ``textbook`` is the book's: without
    batch norm and dropout, with padded pools and true 5 x 5 convolutions (5,977,530 parameters on one channel with
    ten classes).

    Args:
        style: auto takes small for images up to 64 pixels and published for larger ones.
        batch_norm: whether every convolution is normalised; auto: yes, except in the textbook's form, which
            therefore trains slowly at first.

    Raises:
        UsageError: the images are too small for the style.

    Source: Szegedy et al., "Going deeper with convolutions", 2015, table 1; Ioffe and Szegedy, "Batch
    normalization", 2015; Zhang et al., "Dive into Deep Learning", section 8.4 (textbook).

    >>> net = googlenet(Spec("classification", (1, 28, 28), classes=tuple("0123456789")))
    >>> net.get_submodule("fc")
    Linear(in_features=1024, out_features=10, bias=True)
    """
    form = choose("googlenet", spec, style, LEAST)
    textbook, small = form == "textbook", form == "small"
    normed = not textbook if batch_norm == "auto" else batch_norm
    third, fourth, fifth = stages(functools.partial(Inception, batch_norm=normed, true_five=textbook))
    conv = functools.partial(Conv, batch_norm=normed)

    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if small:
        parts["conv1"] = conv(spec.shape[0], 64, 3)
    else:
        parts["conv1"] = conv(spec.shape[0], 64, 7, 2)
        parts["maxpool1"] = _pool(textbook)
    parts["conv2"] = conv(64, 64, 1)
    parts["conv3"] = conv(64, 192, 3)
    parts["maxpool2"] = _pool(textbook)
    parts |= third
    parts["maxpool3"] = _pool(textbook)
    parts |= fourth
    parts["maxpool4"] = _pool(textbook, kernel=3 if textbook else 2)
    parts |= fifth
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    if not textbook:
        parts["dropout"] = nn.Dropout(0.2)
    parts["fc"] = nn.Linear(1024, spec.outputs)
    net = nn.Sequential(parts)
    (xavier if textbook else kaiming)(net)
    return net


def _pool(textbook: bool, *, kernel: int = 3) -> nn.MaxPool2d:
    """Half as many rows and columns: padded in the textbook, else with the last ones of an odd number counted in."""
    return nn.MaxPool2d(kernel, stride=2, padding=1 if textbook else 0, ceil_mode=not textbook)
