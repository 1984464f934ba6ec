"""Resizing of pixels: cropped, squashed or padded to the requested ratio of sides.

Pillow's ``ImageOps.fit`` and ``ImageOps.pad`` do nearly the same, but crop at fractions of a pixel. Here the crop is at
whole pixels, so an image that needs no scaling keeps its pixels. `yisheng.inference.export.resizing` does the same with
operators of tensors, to the same pixels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

Fit = Literal["crop", "squash", "pad"]


def resize(pixels: np.ndarray, size: tuple[int, int], fit: Fit) -> np.ndarray:
    """Return pixels at another size, bilinear with antialiasing.

    Args:
        pixels: uint8 or float32, ``(H, W)`` or ``(H, W, 3)``.
        size: height and width of the result.
        fit: ``crop`` cuts out the center at the requested ratio of sides; ``squash`` changes the ratio; ``pad`` keeps
            the complete image, and adds black borders.

    >>> resize(np.ones((10, 30), np.uint8), (5, 5), "pad").tolist()[:2]
    [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]
    """
    if fit == "crop":
        pixels = crop_center(pixels, size)
    inner = fit_inside(pixels.shape[:2], size) if fit == "pad" else size
    if pixels.shape[:2] != inner:
        pixels = _scale(pixels, inner)
    if inner == size:
        return pixels
    canvas = np.zeros((*size, *pixels.shape[2:]), pixels.dtype)
    y, x = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[y : y + inner[0], x : x + inner[1]] = pixels
    return canvas


def _scale(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels scaled in rows, then in columns; Pillow's versions differ in the order if they do both."""
    if pixels.dtype == np.float32 and pixels.ndim == 3:  # Pillow has no colors of floats
        return np.stack([_scale(pixels[..., channel], size) for channel in range(pixels.shape[2])], axis=2)
    height, width = size
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image = image.resize((width, image.height), Image.Resampling.BILINEAR)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def crop_center(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the center of an image, as large as possible, with the ratio of sides of ``size``."""
    height, width = pixels.shape[:2]
    crop_height = min(height, max(1, round(width * size[0] / size[1])))
    crop_width = min(width, max(1, round(height * size[1] / size[0])))
    y, x = (height - crop_height) // 2, (width - crop_width) // 2
    return pixels[y : y + crop_height, x : x + crop_width]


def fit_inside(original: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size with the ratio of sides of ``original`` that fits into ``size``."""
    scale = min(size[0] / original[0], size[1] / original[1])
    height, width = (min(limit, max(1, round(n * scale))) for n, limit in zip(original, size, strict=True))
    return height, width
