"""Five convolutions and three linear layers: the net that began it, on ImageNet in 2012."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.models._variants import LEAST_SMALL, choose, kaiming, xavier

LEAST = {"published": 63, "small": LEAST_SMALL, "textbook": 65}


@register(fits=lambda spec: spec.is_image, wants="images")
def alexnet(spec: Spec, *, style: Literal["auto", "published", "small", "textbook"] = "auto") -> nn.Module:
    """AlexNet: five convolutions, overlapping max pooling, relu, and dropout before two wide linear layers.

    ``published`` is torchvision's (61,100,840 parameters for 1000 classes), after the one-column form of 2014;
    its weight files fit. ``textbook`` has the wider convolutions of 2012 and one linear layer on 5 x 5 cells
    (46,764,746 parameters on 1 x 224 x 224 with ten classes). ``small`` keeps the convolutions, but the first
    looks at every pixel (5 x 5, no stride), the pools are padded, and the linear layers have 1024 units.

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
    form = choose("alexnet", spec, style, LEAST)
    net = {"published": _published, "small": _small, "textbook": _textbook}[form](spec)
    (xavier if form == "textbook" else kaiming)(net)
    return net


def _published(spec: Spec) -> nn.Module:
    first = nn.Conv2d(spec.shape[0], 64, kernel_size=11, stride=4, padding=2)
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Linear(4096, spec.outputs),
    )
    return _net(_features(first, padding=0), (6, 6), classifier)


def _small(spec: Spec) -> nn.Module:
    # 28 -> 14 -> 7 -> 4 cells; more than 4 x 4 of them are averaged down, so that the linear layer stays small.
    rows, columns = (min(4, (side + 7) // 8) for side in spec.shape[1:])
    first = nn.Conv2d(spec.shape[0], 64, kernel_size=5, padding=2)
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * rows * columns, 1024),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(1024, 1024),
        nn.ReLU(inplace=True),
        nn.Linear(1024, spec.outputs),
    )
    return _net(_features(first, padding=1), (rows, columns), classifier)


def _features(first: nn.Conv2d, *, padding: int) -> nn.Sequential:
    return nn.Sequential(
        first,
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


def _net(features: nn.Module, cells: tuple[int, int], classifier: nn.Module) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            features=features,
            avgpool=nn.AdaptiveAvgPool2d(cells),
            flatten=nn.Flatten(),
            classifier=classifier,
        )
    )


def _textbook(spec: Spec) -> nn.Module:
    rows, columns = map(_cells, spec.shape[1:])
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


def _cells(side: int) -> int:
    """Cells that the textbook's convolutions leave of so many pixels: 224 -> 54 -> 26 -> 12 -> 5."""
    cells = (side - 9) // 4 + 1
    for _ in range(3):
        cells = (cells - 1) // 2
    return cells
