"""Brightness, contrast, colour: another light, another camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Interval

from yisheng.core.errors import UsageError
from yisheng.core.registry import register
from yisheng.core.types import Spec
from yisheng.transforms.augment._contract import Augment, Factor, beside, require_order, uniform

LUMA = (0.2989, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601, as torchvision rounds them)."""
Operation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Images ``(B, C, H, W)`` and a number for each to images."""


@register(fits=lambda spec: spec.is_image, wants="images")
def jitter(
    spec: Spec,
    *,
    brightness: tuple[Factor, Factor] = (0.5, 1.5),
    contrast: tuple[Factor, Factor] = (0.5, 1.5),
    saturation: tuple[Factor, Factor] = (0.5, 1.5),
    hue: Annotated[float, Interval(ge=0, le=0.5)] = 0.0,
) -> Augment:
    """Change brightness, contrast, saturation and hue at random; float32 from 0 to 255.

    With a factor f, drawn evenly for each image and operation, and the result cut off at 0 and 255:

        brightness   f x
        contrast     f x + (1 - f) m      m the mean of the image's grey
        saturation   f x + (1 - f) g      g the grey of the pixel
        hue          turned by f of the colour circle

    Grey is 0.2989 red + 0.587 green + 0.114 blue, and where there are not three channels their mean: a grey image
    has no saturation that could change. The order of the operations is drawn once per batch. A range of 1,1 leaves
    an operation out.

    Args:
        brightness: least and largest factor.
        contrast: least and largest factor.
        saturation: least and largest factor; at 0 the image becomes grey.
        hue: largest turn either way, in turns of the colour circle; 0.5 is the opposite colour. 0 by default,
            since colours are often what tells classes apart.

    Raises:
        UsageError: the ends of a range are in the wrong order, or hue is asked of images without three channels.

    >>> x = torch.full((1, 1, 2, 2), 100, dtype=torch.uint8)
    >>> dark = jitter(Spec("regression", (1, 2, 2)), brightness=(0.5, 0.5))
    >>> dark(x, torch.zeros(1, 1), torch.Generator())[0].flatten().tolist()
    [50.0, 50.0, 50.0, 50.0]

    Source: Howard, Some improvements on deep convolutional neural network based image classification, arXiv
    1312.5402; the formulas are those of torchvision's ``ColorJitter``.
    """
    ranges = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": (-hue, hue)}
    for name, pair in ranges.items():
        require_order(name, pair)
    channels = spec.shape[0]
    if hue and channels != 3:
        raise UsageError(
            f"jitter can only turn the hue of images with red, green and blue; these have {channels} "
            f"channel{'s' if channels > 1 else ''}",
            "leave jitter.hue out",
        )
    idle = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    active = [name for name in ranges if ranges[name] != idle[name] and (name != "saturation" or channels > 1)]

    def change(x: torch.Tensor, y: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        order = torch.randperm(len(active), generator=draw).tolist()
        for name in (active[i] for i in order):
            x = x.to(torch.float32)
            x = OPERATIONS[name](x, beside(uniform((len(x),), *ranges[name], draw), x))
        return x, y

    return change


def _brightness(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return (x * factor).clamp_(0, 255)


def _contrast(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return _between(_grey(x).mean((1, 2, 3), keepdim=True), x, factor)


def _saturation(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return _between(_grey(x), x, factor)


def _hue(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Via hue, value and chroma; the formulas of the HSV colour model (Smith, Color gamut transform pairs, 1978)."""
    red, green, blue = (channel.contiguous() for channel in x.unbind(1))
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    inverse = 1 / chroma.clamp(min=1e-6)  # where there is no chroma, there is nothing to divide
    sixths = (red - green).mul_(inverse).add_(4)
    sixths = torch.where(value == green, (blue - red).mul_(inverse).add_(2), sixths)
    sixths = torch.where(value == red, (green - blue).mul_(inverse), sixths)
    sixths += 6 * turn[:, 0]
    return torch.stack([value - chroma * _share(sixths + corner) for corner in (5, 3, 1)], 1).clamp_(0, 255)


def _share(corner: torch.Tensor) -> torch.Tensor:
    """How much of the chroma a channel lacks: 0 at the circle's 0/6, 1 from 1/6 to 3/6, 0 from 4/6 on.

    In place, and with `floor` instead of `remainder`, which takes seven times as long.
    """
    corner.sub_((corner / 6).floor_().mul_(6))
    return corner.sub_(2).abs_().neg_().add_(2).clamp_(0, 1)


OPERATIONS: dict[str, Operation] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}


def _grey(x: torch.Tensor) -> torch.Tensor:
    """``(B, 1, H, W)``."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    red, green, blue = x.split(1, dim=1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _between(other: torch.Tensor, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return torch.lerp(other, x, factor).clamp_(0, 255)
