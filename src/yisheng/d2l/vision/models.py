"""ResNets with torchvision's names, arguments and layers, so that its files of weights fit."""

from __future__ import annotations

from enum import Enum
from typing import Any

import torch
from torch import nn

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data import hub
from yisheng.models.resnet import resnet
from yisheng.models.weights import load_weights, read_weights

IMAGENET_CLASSES = 1000
OPTIONS = ("weights", "num_classes", "pretrained", "progress")


class ResNet18_Weights(Enum):  # noqa: N801  # torchvision's name
    """The published weights of ResNet-18, trained on ImageNet; the value is their file."""

    IMAGENET1K_V1 = "resnet18-f37072fd.pth"
    DEFAULT = IMAGENET1K_V1


class ResNet34_Weights(Enum):  # noqa: N801  # torchvision's name
    """The published weights of ResNet-34, trained on ImageNet; the value is their file."""

    IMAGENET1K_V1 = "resnet34-b627a593.pth"
    DEFAULT = IMAGENET1K_V1


class ResNet50_Weights(Enum):  # noqa: N801  # torchvision's name
    """The published weights of ResNet-50, trained on ImageNet; the value is their file."""

    IMAGENET1K_V1 = "resnet50-0676ba61.pth"
    IMAGENET1K_V2 = "resnet50-11ad3fa6.pth"
    DEFAULT = IMAGENET1K_V2


class ResNet(nn.Module):
    """A ResNet for photographs in RGB, with torchvision's names of layers; its head is ``fc``.

    Args:
        depth: 18, 34 or 50 layers with weights.
        num_classes: outputs.
    """

    def __init__(self, depth: Any, num_classes: int = IMAGENET_CLASSES) -> None:
        super().__init__()
        spec = Spec("classification", (3, 224, 224), classes=("no", "yes"))
        for name, module in resnet(spec, depth=depth, style="published").named_children():
            if isinstance(module, nn.Linear):
                module = nn.Linear(module.in_features, num_classes)
            if not isinstance(module, nn.Flatten):
                self.add_module(name, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, 3, H, W)`` to ``(B, num_classes)``."""
        for name, module in self.named_children():
            x = module(x.flatten(1) if name == "fc" else x)
        return x


def resnet18(weights: Any = None, **options: Any) -> ResNet:
    """Build ResNet-18, with the published weights if they are named.

    Args:
        weights: None for random weights, ``"IMAGENET1K_V1"``, ``"DEFAULT"`` or a member of `ResNet18_Weights`.
        **options: ``num_classes``, with random weights; ``pretrained=True``, the older form of
            ``weights="IMAGENET1K_V1"``; ``progress``, which changes nothing: a long download shows its progress.

    Raises:
        UsageError: there are no such weights, or no such option.
        DataError: the weights cannot be downloaded, or are damaged.

    Yisheng's own: ``yisheng.train(model="resnet18", weights="imagenet")``.

    >>> resnet18(num_classes=2)(torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 2])
    """
    return _build(18, ResNet18_Weights, weights, options)


def resnet34(weights: Any = None, **options: Any) -> ResNet:
    """Build ResNet-34; the arguments are those of `resnet18`."""
    return _build(34, ResNet34_Weights, weights, options)


def resnet50(weights: Any = None, **options: Any) -> ResNet:
    """Build ResNet-50; the arguments are those of `resnet18`."""
    return _build(50, ResNet50_Weights, weights, options)


def _build(depth: int, choices: type[Enum], weights: Any, options: dict[str, Any]) -> ResNet:
    options.pop("progress", None)
    if options.pop("pretrained", False) or weights is True:
        weights = "IMAGENET1K_V1"
    num_classes = options.pop("num_classes", IMAGENET_CLASSES)
    if options:
        raise UsageError(
            Message("resnet{depth} has no option {option}", depth=depth, option=f"{next(iter(options))!r}"),
            suggest(next(iter(options)), OPTIONS),
        )
    if weights is None or weights is False:
        return ResNet(depth, num_classes)
    if isinstance(weights, str) and weights in choices.__members__:
        weights = choices[weights]
    if not isinstance(weights, choices):
        raise UsageError(
            Message("resnet{depth} has no weights {weights}", depth=depth, weights=f"{weights!r}"),
            suggest(str(weights), choices.__members__),
        )
    if num_classes != IMAGENET_CLASSES:
        raise UsageError(
            Message(
                "the published weights have {classes} classes, got num_classes={num_classes}",
                classes=IMAGENET_CLASSES,
                num_classes=num_classes,
            ),
            Message(
                "leave num_classes out, then replace the head: net.fc = nn.Linear(net.fc.in_features, {num_classes})",
                num_classes=num_classes,
            ),
        )
    net = ResNet(depth)
    load_weights(net, read_weights(hub.fetch_file("weights", weights.value)), name=f"resnet{depth}")
    return net
