"""Brightness, contrast, saturation and hue of PIL images and of tensors ``(..., C, H, W)``, as in torchvision."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l.vision.functional import is_tensor

GRAY_WEIGHTS = (0.2989, 0.587, 0.114)
"""Red, green and blue in a pixel's brightness (ITU-R 601-2)."""


def adjust_brightness(image: Any, brightness_factor: float) -> Any:
    """Return an image with its pixels times a factor: 0 is black, 1 the image itself."""
    if is_tensor(image):
        return _blend(image, torch.zeros_like(image), brightness_factor)
    return ImageEnhance.Brightness(image).enhance(brightness_factor)


def adjust_contrast(image: Any, contrast_factor: float) -> Any:
    """Return a mixture of an image and its mean brightness: 0 is gray, 1 the image itself."""
    if not is_tensor(image):
        return ImageEnhance.Contrast(image).enhance(contrast_factor)
    dtype = image.dtype if image.is_floating_point() else torch.float32
    gray = rgb_to_grayscale(image) if _count_channels(image) == 3 else image
    return _blend(image, gray.to(dtype).mean(dim=(-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(image: Any, saturation_factor: float) -> Any:
    """Return a mixture of an image and its gray version: 0 is gray, 1 the image itself."""
    if not is_tensor(image):
        return ImageEnhance.Color(image).enhance(saturation_factor)
    return image if _count_channels(image) == 1 else _blend(image, rgb_to_grayscale(image), saturation_factor)


def adjust_hue(image: Any, hue_factor: float) -> Any:
    """Return an image whose colors are moved around the color circle.

    Args:
        image: the image.
        hue_factor: fraction of the circle, from -0.5 to 0.5.

    Raises:
        UsageError: the factor is outside of that range.
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise UsageError(
            Message("hue must be from -0.5 to 0.5, got {hue_factor}", hue_factor=hue_factor),
            Message("give a fraction of the color circle"),
        )
    if is_tensor(image):
        return image if _count_channels(image) == 1 else _move_hue(image, hue_factor)
    if image.mode in ("L", "1", "I", "F"):
        return image
    hue, saturation, value = image.convert("HSV").split()
    moved = np.array(hue, dtype=np.uint8) + np.int32(hue_factor * 255).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(moved), saturation, value)).convert(image.mode)


def rgb_to_grayscale(image: torch.Tensor) -> torch.Tensor:
    """Return the brightness of a tensor's pixels, with one channel."""
    red, green, blue = image.unbind(dim=-3)
    weights = GRAY_WEIGHTS
    return (weights[0] * red + weights[1] * green + weights[2] * blue).to(image.dtype).unsqueeze(-3)


def _count_channels(image: torch.Tensor) -> int:
    channels = image.shape[-3] if image.ndim >= 3 else 1
    if channels not in (1, 3):
        raise UsageError(
            Message("a color transform requires 1 or 3 channels, got {channels}", channels=channels),
            Message("give (3, H, W) or (1, H, W)"),
        )
    return int(channels)


def _blend(image: torch.Tensor, background: torch.Tensor, ratio: float) -> torch.Tensor:
    bound = 1.0 if image.is_floating_point() else torch.iinfo(image.dtype).max
    return (ratio * image + (1.0 - ratio) * background).clamp(0, bound).to(image.dtype)


def _move_hue(image: torch.Tensor, hue_factor: float) -> torch.Tensor:
    is_float = image.is_floating_point()
    values = image if is_float else image / float(torch.iinfo(image.dtype).max)
    hue, saturation, value = _rgb_to_hsv(values).unbind(dim=-3)
    moved = _hsv_to_rgb(torch.stack(((hue + hue_factor) % 1.0, saturation, value), dim=-3))
    return moved if is_float else moved.mul(torch.iinfo(image.dtype).max + 1.0 - 1e-3).to(image.dtype)


def _rgb_to_hsv(image: torch.Tensor) -> torch.Tensor:
    """Return hue, saturation and value from 0 to 1 (Smith, Color gamut transform pairs, 1978)."""
    red, green, blue = image.unbind(dim=-3)
    largest, smallest = image.amax(dim=-3), image.amin(dim=-3)
    chroma = largest - smallest
    is_gray = chroma == 0
    divisor = torch.where(is_gray, torch.ones_like(chroma), chroma)
    saturation = chroma / torch.where(is_gray, torch.ones_like(largest), largest)
    sixth = torch.where(
        largest == red,
        (green - blue) / divisor,
        torch.where(largest == green, 2.0 + (blue - red) / divisor, 4.0 + (red - green) / divisor),
    )
    return torch.stack(((sixth / 6.0) % 1.0, saturation, largest), dim=-3)


def _hsv_to_rgb(image: torch.Tensor) -> torch.Tensor:
    hue, saturation, value = image.unbind(dim=-3)
    sector = torch.floor(hue * 6.0)
    offset = hue * 6.0 - sector
    low = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    falling = (value * (1.0 - saturation * offset)).clamp(0.0, 1.0)
    rising = (value * (1.0 - saturation * (1.0 - offset))).clamp(0.0, 1.0)
    reds = torch.stack((value, falling, low, low, rising, value))
    greens = torch.stack((rising, value, value, falling, low, low))
    blues = torch.stack((low, low, rising, value, value, falling))
    index = (sector.to(torch.int64) % 6).unsqueeze(0)
    return torch.stack([channel.gather(0, index).squeeze(0) for channel in (reds, greens, blues)], dim=-3)
