"""GoogLeNet: nine inception blocks, many narrow convolutions of several sizes with few weights."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._inception import Conv, Inception, make_stages
from yisheng.models._styles import MIN_SIDE_OF_SMALL, choose_style, init_kaiming, init_xavier

MIN_SIDES = {"published": 32, "small": MIN_SIDE_OF_SMALL, "textbook": 32}


@register(fits=lambda spec: spec.has_maps, requires="images")
def googlenet(
    spec: Spec,
    *,
    style: Literal["auto", "published", "small", "textbook"] = "auto",
    batch_norm: Literal["auto"] | bool = "auto",
) -> nn.Module:
    """Build GoogLeNet (Inception v1): three convolutions, nine inception blocks, an average and a linear layer.

    ``published`` is torchvision's, with batch norm (6,624,904 parameters for 1000 classes). Its weight file fits
    except for the two auxiliary heads (``aux1.*``, ``aux2.*``): they were needed to train those weights and are
    left out here, as torchvision leaves them out after loading. Those weights expect pixels from -1 to 1 (mean and
    standard deviation 0.5 of pixel / 255), which torchvision's ``transform_input`` computes. ``small`` has a first
    convolution of 3 x 3 without stride, and no pool after it. ``textbook`` is the book's: without
    batch norm and dropout, with padded pools and true 5 x 5 convolutions (5,977,530 parameters on one channel with
    ten classes).

    Args:
        style: auto takes small for images up to 64 pixels and published for larger ones.
        batch_norm: whether every convolution is normalized; auto: yes, except in the textbook's style, which
            therefore trains slowly at first.

    Raises:
        UsageError: the images are too small for the style.

    Source: Szegedy et al., "Going deeper with convolutions", 2015, table 1; Ioffe and Szegedy, "Batch
    normalization", 2015; Zhang et al., "Dive into Deep Learning", section 8.4 (textbook).

    >>> net = googlenet(Spec("classification", (1, 28, 28), classes=tuple("0123456789")))
    >>> net.get_submodule("fc")
    Linear(in_features=1024, out_features=10, bias=True)
    """
    form = choose_style("googlenet", spec, style, MIN_SIDES)
    textbook, is_small = form == "textbook", form == "small"
    normalized = not textbook if batch_norm == "auto" else batch_norm
    stage3, stage4, stage5 = make_stages(functools.partial(Inception, batch_norm=normalized, true_5x5=textbook))
    conv = functools.partial(Conv, batch_norm=normalized)

    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if is_small:
        modules["conv1"] = conv(spec.shape[0], 64, 3)
    else:
        modules["conv1"] = conv(spec.shape[0], 64, 7, 2)
        modules["maxpool1"] = _make_pool(textbook)
    modules["conv2"] = conv(64, 64, 1)
    modules["conv3"] = conv(64, 192, 3)
    modules["maxpool2"] = _make_pool(textbook)
    modules |= stage3
    modules["maxpool3"] = _make_pool(textbook)
    modules |= stage4
    modules["maxpool4"] = _make_pool(textbook, kernel=3 if textbook else 2)
    modules |= stage5
    modules["avgpool"] = nn.AdaptiveAvgPool2d(1)
    modules["flatten"] = nn.Flatten()
    if not textbook:
        modules["dropout"] = nn.Dropout(0.2)
    modules["fc"] = nn.Linear(1024, spec.outputs)
    net = nn.Sequential(modules)
    (init_xavier if textbook else init_kaiming)(net)
    return net


def _make_pool(textbook: bool, *, kernel: int = 3) -> nn.MaxPool2d:
    """Make a pool that halves rows and columns: padded in the textbook, otherwise rounded up."""
    return nn.MaxPool2d(kernel, stride=2, padding=1 if textbook else 0, ceil_mode=not textbook)
