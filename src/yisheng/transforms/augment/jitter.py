"""Brightness, contrast, saturation and hue: another light, another camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Interval

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message, plural_message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms.augment._base import Augment, Factor, check_range, draw_uniform, expand_per_sample

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in gray (ITU-R BT.601, as torchvision rounds them)."""
Operation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Function from images ``(B, C, H, W)`` and a number for each to images."""


@register(fits=lambda spec: spec.is_image, requires="images")
def jitter(
    spec: Spec,
    *,
    brightness: tuple[Factor, Factor] = (0.5, 1.5),
    contrast: tuple[Factor, Factor] = (0.5, 1.5),
    saturation: tuple[Factor, Factor] = (0.5, 1.5),
    hue: Annotated[float, Interval(ge=0, le=0.5)] = 0.0,
) -> Augment:
    """Change brightness, contrast, saturation and hue at random; float32 from 0 to 255.

    With a factor f, drawn uniformly for each image and operation, and the result clamped to 0..255:

        brightness   f x
        contrast     f x + (1 - f) m      m the mean of the image's gray
        saturation   f x + (1 - f) g      g the gray of the pixel
        hue          rotated by f of the color circle

    Gray is 0.2989 red + 0.587 green + 0.114 blue, and for another number of channels their mean: a gray image has no
    saturation to change. The order of the operations is drawn once per batch. A range of 1,1 turns an operation off.

    Args:
        brightness: smallest and largest factor.
        contrast: smallest and largest factor.
        saturation: smallest and largest factor; at 0 the image becomes gray.
        hue: largest rotation in either direction, as a fraction of the color circle; 0.5 is the opposite color. 0 by
            default, since colors often distinguish classes.

    Raises:
        UsageError: the ends of a range are in the wrong order, or hue is not 0 and the images have not three channels.

    >>> x = torch.full((1, 1, 2, 2), 100, dtype=torch.uint8)
    >>> dark = jitter(Spec("regression", (1, 2, 2)), brightness=(0.5, 0.5))
    >>> dark(x, torch.zeros(1, 1), torch.Generator())[0].flatten().tolist()
    [50.0, 50.0, 50.0, 50.0]

    Source: Howard, Some improvements on deep convolutional neural network based image classification, arXiv
    1312.5402; the formulas are those of torchvision's ``ColorJitter``.
    """
    ranges = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": (-hue, hue)}
    for name, limits in ranges.items():
        check_range(name, limits)
    channels = spec.shape[0]
    if hue and channels != 3:
        raise UsageError(
            plural_message(
                channels,
                "jitter can only change the hue of images with red, green and blue; these have {count} channel",
                "jitter can only change the hue of images with red, green and blue; these have {count} channels",
                count=channels,
            ),
            Message("leave jitter.hue out"),
        )
    identity = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    active = [name for name in ranges if ranges[name] != identity[name] and (name != "saturation" or channels > 1)]

    def augment(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        order = torch.randperm(len(active), generator=generator).tolist()
        for name in (active[i] for i in order):
            x = x.to(torch.float32)
            x = OPERATIONS[name](x, expand_per_sample(draw_uniform((len(x),), *ranges[name], generator), x))
        return x, y

    return augment


def _change_brightness(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return (x * factor).clamp_(0, 255)


def _change_contrast(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return _blend(_to_gray(x).mean((1, 2, 3), keepdim=True), x, factor)


def _change_saturation(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return _blend(_to_gray(x), x, factor)


def _change_hue(x: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Rotate the hue with the formulas of the HSV color model (Smith, Color gamut transform pairs, 1978)."""
    red, green, blue = (channel.contiguous() for channel in x.unbind(1))
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    inverse = 1 / chroma.clamp(min=1e-6)  # without chroma the differences are 0
    hue = (red - green).mul_(inverse).add_(4)  # in sixths of the color circle
    hue = torch.where(value == green, (blue - red).mul_(inverse).add_(2), hue)
    hue = torch.where(value == red, (green - blue).mul_(inverse), hue)
    hue += 6 * rotation[:, 0]
    return torch.stack([value - chroma * _lack_of_chroma(hue + corner) for corner in (5, 3, 1)], 1).clamp_(0, 255)


def _lack_of_chroma(hue: torch.Tensor) -> torch.Tensor:
    """Return the fraction of the chroma that a channel lacks: 0 at hue 0/6, 1 from 1/6 to 3/6, 0 from 4/6 on.

    In place, and with `floor` instead of `remainder`, which takes seven times as long.
    """
    hue.sub_((hue / 6).floor_().mul_(6))
    return hue.sub_(2).abs_().neg_().add_(2).clamp_(0, 1)


OPERATIONS: dict[str, Operation] = {
    "brightness": _change_brightness,
    "contrast": _change_contrast,
    "saturation": _change_saturation,
    "hue": _change_hue,
}


def _to_gray(x: torch.Tensor) -> torch.Tensor:
    """Return gray images ``(B, 1, H, W)``."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    red, green, blue = x.split(1, dim=1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _blend(base: torch.Tensor, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return torch.lerp(base, x, factor).clamp_(0, 255)
