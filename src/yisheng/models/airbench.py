"""A net for small images that learns much in few passes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import torch
from annotated_types import Interval, Len
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.registry import register
from yisheng.core.types import Spec

STEM = 16
"""Channels of the first convolution."""
SCALE = 1 / 9
"""Of the outputs, so that a softmax is soft at first and the last layer can learn as fast as the others."""
Width = Annotated[int, Interval(ge=1, le=4096)]


@register(fits=lambda spec: spec.is_image, wants="images", shape=(1, 28, 28))
def airbench(
    spec: Spec,
    *,
    widths: Annotated[tuple[Width, ...], Len(1, 8)] = (32, 64, 128),
    depth: Annotated[int, Interval(ge=1, le=16)] = 2,
    mirror: bool = False,
) -> nn.Module:
    """A 2 x 2 convolution, groups of 3 x 3 convolutions, each channel's largest value, and a linear layer.

    Each group halves rows and columns after its first convolution, and every convolution is followed by batch norm and
    relu. The first rows of a convolution's weights begin as the identity (Dirac): what comes in passes through, and the
    rest is learnt beside it. Meant for ``optimizer=muon``, with which it comes far in few passes.

    Args:
        widths: channels of the groups; each halves the image where there is something to halve, so three take 28 x 28
            to 3 x 3.
        depth: convolutions in each group.
        mirror: in use (not in training) look at the mirror image, too, and give the mean of both outputs: twice the
            time, and right where left and right mean the same, as in most photographs and not in letters and digits.

    Raises:
        UsageError: the images have a single row or column.

    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3 and its program airbench; there
    the first convolution is computed from the data (whitening), and the activation is GELU.

    >>> net = airbench(Spec("classification", (1, 28, 28), classes=tuple("0123456789")))
    >>> sum(p.numel() for p in net.parameters())
    292560
    >>> net(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    size = min(spec.shape[1:]) - 1  # what the 2 x 2 convolution leaves
    if size < 1:
        got = " x ".join(map(str, spec.shape[1:]))
        raise UsageError(f"airbench needs images of at least 2 x 2 pixels, got {got}", "say model=mlp")
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["stem"] = nn.Sequential(OrderedDict(conv=nn.Conv2d(spec.shape[0], STEM, kernel_size=2), relu=nn.ReLU()))
    channels = STEM
    for number, width in enumerate(widths, start=1):
        parts[f"group{number}"] = _group(channels, width, depth, pooled=size > 1)
        channels, size = width, max(1, size // 2)
    parts["maxpool"] = nn.AdaptiveMaxPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(channels, spec.outputs, bias=False)
    return Airbench(parts, mirror=mirror)


class Airbench(nn.Module):
    """The layers in their order, their output scaled; see `airbench`.

    Args:
        parts: the layers.
        mirror: in use, give the mean of the outputs for an image and for its mirror image.
    """

    def __init__(self, parts: OrderedDict[str, nn.Module], *, mirror: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(parts)
        self.mirror = mirror

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` to ``(B, O)``."""
        y: torch.Tensor = self.net(x)
        if self.mirror and not self.training:
            y = (y + self.net(x.flip(-1))) / 2
        return y * SCALE


def _group(channels: int, width: int, depth: int, *, pooled: bool) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, depth + 1):
        conv = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        nn.init.dirac_(conv.weight[: min(channels, width)].detach())
        parts[f"conv{number}"] = conv
        if number == 1 and pooled:  # first, as then there are four times fewer values to normalise
            parts["maxpool"] = nn.MaxPool2d(2)
        parts[f"norm{number}"] = nn.BatchNorm2d(width)
        parts[f"relu{number}"] = nn.ReLU()
        channels = width
    return nn.Sequential(parts)
