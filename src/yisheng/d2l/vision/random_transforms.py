"""Random transforms of images; they draw from torch's global generator, in torchvision's order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l.vision import color, functional
from yisheng.d2l.vision.functional import InterpolationMode

MAX_CROP_DRAWS = 10


class _RandomFlip(nn.Module):
    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise UsageError(Message("p must be a probability from 0 to 1, got {p}", p=p), Message("give p=0.5"))
        self.p = p

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        return f"p={self.p}"


class RandomHorizontalFlip(_RandomFlip):
    """Exchange left and right of an image at random.

    Args:
        p: how likely.
    """

    def forward(self, img: Any) -> Any:
        """Return the image, flipped or not."""
        return functional.hflip(img) if torch.rand(1) < self.p else img


class RandomVerticalFlip(_RandomFlip):
    """Exchange top and bottom of an image at random.

    Args:
        p: how likely.
    """

    def forward(self, img: Any) -> Any:
        """Return the image, flipped or not."""
        return functional.vflip(img) if torch.rand(1) < self.p else img


class RandomResizedCrop(nn.Module):
    """Return a random rectangle of an image in a given size.

    Args:
        size: height and width of the result, or one number for both.
        scale: smallest and largest fraction of the image's area.
        ratio: smallest and largest width / height; drawn on a logarithmic scale.
        interpolation: how pixels between pixels are computed.
        antialias: smooth a tensor before it becomes smaller.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = functional.parse_pair(size, Message("the size of {name}", name="RandomResizedCrop"))
        for name, bounds in (("scale", scale), ("ratio", ratio)):
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
                raise UsageError(
                    Message("{name} must be two positive numbers in order, got {bounds}", name=name, bounds=bounds),
                    Message("give {name}=(0.5, 1)", name=name),
                )
        self.scale, self.ratio, self.interpolation, self.antialias = scale, ratio, interpolation, antialias

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """Draw a rectangle: top, left, height and width.

        Args:
            img: the image.
            scale: smallest and largest fraction of its area.
            ratio: smallest and largest width / height.
        """
        rows, columns = functional.get_size(img)
        log_ratio = torch.log(torch.tensor(ratio))
        for _ in range(MAX_CROP_DRAWS):
            area = rows * columns * torch.empty(1).uniform_(scale[0], scale[1]).item()
            aspect = torch.exp(torch.empty(1).uniform_(log_ratio[0].item(), log_ratio[1].item())).item()
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= columns and 0 < height <= rows:
                top = int(torch.randint(0, rows - height + 1, size=(1,)))
                left = int(torch.randint(0, columns - width + 1, size=(1,)))
                return top, left, height, width
        width, height = columns, rows
        if columns / rows < min(ratio):
            height = round(width / min(ratio))
        elif columns / rows > max(ratio):
            width = round(height * max(ratio))
        return (rows - height) // 2, (columns - width) // 2, height, width

    def forward(self, img: Any) -> Any:
        """Return a random rectangle of the image, resized."""
        rectangle = self.get_params(img, self.scale, self.ratio)
        return functional.resized_crop(img, *rectangle, self.size, self.interpolation, self.antialias)

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        return f"size={self.size}, scale={tuple(self.scale)}, ratio={tuple(round(value, 4) for value in self.ratio)}"


class ColorJitter(nn.Module):
    """Change brightness, contrast, saturation and hue at random, in random order.

    Args:
        brightness: 0.5 draws a factor from 0.5 to 1.5; or the smallest and the largest factor.
        contrast: as brightness.
        saturation: as brightness.
        hue: 0.1 draws a fraction of the color circle from -0.1 to 0.1; or the smallest and the largest.
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        super().__init__()
        self.brightness = _parse_factors(brightness, "brightness")
        self.contrast = _parse_factors(contrast, "contrast")
        self.saturation = _parse_factors(saturation, "saturation")
        self.hue = _parse_factors(hue, "hue", center=0.0, bounds=(-0.5, 0.5))

    def forward(self, img: Any) -> Any:
        """Return the changed image."""
        order = torch.randperm(4).tolist()
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = [None if bounds is None else torch.empty(1).uniform_(*bounds).item() for bounds in ranges]
        for position in order:
            factor = factors[position]
            if factor is not None:
                img = _ADJUSTMENTS[position](img, factor)
        return img

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        names = ("brightness", "contrast", "saturation", "hue")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


_ADJUSTMENTS: tuple[Callable[[Any, float], Any], ...] = (
    color.adjust_brightness,
    color.adjust_contrast,
    color.adjust_saturation,
    color.adjust_hue,
)


def _parse_factors(
    value: Any, name: str, *, center: float = 1.0, bounds: tuple[float, float] = (0.0, math.inf)
) -> tuple[float, float] | None:
    """Return the range that a factor is drawn from, or None if it changes nothing."""
    if isinstance(value, int | float):
        if value < 0:
            raise UsageError(
                Message("{name} must not be negative, got {value}", name=name, value=value),
                Message("give {name}=0.5, for example", name=name),
            )
        low, high = center - value, center + value
        low = max(low, 0.0) if center else low
    else:
        low, high = (float(number) for number in value)
    if not bounds[0] <= low <= high <= bounds[1]:
        raise UsageError(
            Message(
                "{name} must be from {lowest} to {highest}, got {low} to {high}",
                name=name,
                lowest=bounds[0],
                highest=bounds[1],
                low=low,
                high=high,
            ),
            Message("give a smaller range"),
        )
    return None if low == high == center else (low, high)
