"""AlexNet: five convolutions and three linear layers, the winner on ImageNet in 2012."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._styles import MIN_SIDE_OF_SMALL, choose_style, init_kaiming, init_xavier

MIN_SIDES = {"published": 63, "small": MIN_SIDE_OF_SMALL, "textbook": 65}


@register(fits=lambda spec: spec.has_maps, requires="images")
def alexnet(spec: Spec, *, style: Literal["auto", "published", "small", "textbook"] = "auto") -> nn.Module:
    """Build AlexNet: five convolutions, overlapping max pooling, relu, and dropout before two wide linear layers.

    ``published`` is torchvision's (61,100,840 parameters for 1000 classes), after the one-column form of 2014;
    its weight files fit. ``textbook`` has the wider convolutions of 2012 and one linear layer on 5 x 5 cells
    (46,764,746 parameters on 1 x 224 x 224 with ten classes). ``small`` keeps the convolutions, except that the
    first is 5 x 5 without stride, the pools are padded, and the linear layers have 1024 units.

    Args:
        style: auto takes small for images up to 64 pixels and published for larger ones.

    Raises:
        UsageError: the images are too small for the style.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
    2012; Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014 (published);
    Zhang et al., "Dive into Deep Learning", section 8.1 (textbook).

    >>> net = alexnet(Spec("classification", (1, 28, 28), classes=tuple("0123456789")))
    >>> net.get_submodule("features.0")
    Conv2d(1, 64, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))
    """
    form = choose_style("alexnet", spec, style, MIN_SIDES)
    net = {"published": _make_published, "small": _make_small, "textbook": _make_textbook}[form](spec)
    (init_xavier if form == "textbook" else init_kaiming)(net)
    return net


def _make_published(spec: Spec) -> nn.Module:
    first_conv = nn.Conv2d(spec.shape[0], 64, kernel_size=11, stride=4, padding=2)
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Linear(4096, spec.outputs),
    )
    return _join(_make_features(first_conv, padding=0), (6, 6), classifier)


def _make_small(spec: Spec) -> nn.Module:
    # 28 -> 14 -> 7 -> 4 cells; larger grids are averaged to 4 x 4, so that the linear layer stays small.
    rows, columns = (min(4, (side + 7) // 8) for side in spec.shape[1:])
    first_conv = nn.Conv2d(spec.shape[0], 64, kernel_size=5, padding=2)
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * rows * columns, 1024),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(1024, 1024),
        nn.ReLU(inplace=True),
        nn.Linear(1024, spec.outputs),
    )
    return _join(_make_features(first_conv, padding=1), (rows, columns), classifier)


def _make_features(first_conv: nn.Conv2d, *, padding: int) -> nn.Sequential:
    return nn.Sequential(
        first_conv,
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=padding),
        nn.Conv2d(64, 192, kernel_size=5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=padding),
        nn.Conv2d(192, 384, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=padding),
    )


def _join(features: nn.Module, cells: tuple[int, int], classifier: nn.Module) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            features=features,
            avgpool=nn.AdaptiveAvgPool2d(cells),
            flatten=nn.Flatten(),
            classifier=classifier,
        )
    )


def _make_textbook(spec: Spec) -> nn.Module:
    rows, columns = map(_count_cells, spec.shape[1:])
    features = nn.Sequential(
        nn.Conv2d(spec.shape[0], 96, kernel_size=11, stride=4, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(96, 256, kernel_size=5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(256, 384, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 384, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
    )
    classifier = nn.Sequential(
        nn.Linear(256 * rows * columns, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, spec.outputs),
    )
    return nn.Sequential(OrderedDict(features=features, flatten=nn.Flatten(), classifier=classifier))


def _count_cells(side: int) -> int:
    """Return the number of cells that the textbook's convolutions make of a side: 224 -> 54 -> 26 -> 12 -> 5."""
    cells = (side - 9) // 4 + 1
    for _ in range(3):
        cells = (cells - 1) // 2
    return cells
