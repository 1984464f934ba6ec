"""Grids of images: a batch as the network sees it, and the worst mistakes with their classes."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from yisheng.reporting.evaluation_schema import Mistake

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

MAX_IMAGES: Final = 64
MIN_SIDE_PIXELS: Final = 64
"""Smaller images are enlarged to about this side, by a whole factor."""
GAP_PIXELS: Final = 2
CAPTION_PIXELS: Final = 14


def draw_batch_grid(pixels: np.ndarray) -> np.ndarray:
    """Return a grid of the first 64 images of a batch.

    Args:
        pixels: ``(B, C, H, W)``: uint8, or any numbers, whose range becomes the range of gray levels. Of images with
            neither one nor three channels the first channel is shown.

    Returns:
        uint8 ``(H, W, 3)``.

    >>> draw_batch_grid(np.zeros((5, 1, 32, 32), np.uint8)).shape
    (134, 200, 3)
    """
    pixels = pixels[:MAX_IMAGES]
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float64)
        finite = pixels[np.isfinite(pixels)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
        scaled = (np.nan_to_num(pixels) - low) / max(high - low, 1e-12)
        pixels = (255 * scaled.clip(0, 1)).round().astype(np.uint8)
    if pixels.shape[1] not in (1, 3):
        pixels = pixels[:, :1]
    images = np.repeat(pixels, 3, axis=1) if pixels.shape[1] == 1 else pixels
    return _arrange([np.moveaxis(_enlarge(image), 0, 2) for image in images])


def draw_mistake_grid(mistakes: Sequence[Mistake], classes: Sequence[tuple[str, str]]) -> np.ndarray | None:
    """Return a grid of the images of mistakes with true and predicted class below each; None without images.

    Args:
        mistakes: the worst first.
        classes: names of the true and the predicted class of each.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    from PIL import Image, ImageDraw

    cells = []
    for mistake, (true, predicted) in list(zip(mistakes, classes, strict=True))[:MAX_IMAGES]:
        if mistake.image_size is None or mistake.image is None:
            continue
        try:
            with Image.open(io.BytesIO(base64.b64decode(mistake.image))) as file:
                image = file.convert("RGB")
        except (OSError, ValueError):
            continue
        pixels = _enlarge(np.moveaxis(np.asarray(image), 2, 0))
        cell = Image.new("RGB", (pixels.shape[2], pixels.shape[1] + CAPTION_PIXELS), "white")
        cell.paste(Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, 2))), (0, 0))
        _draw_caption(ImageDraw.Draw(cell), cell, f"{true} > {predicted}")
        cells.append(np.asarray(cell))
    return _arrange(cells) if cells else None


def _draw_caption(draw: ImageDraw.ImageDraw, cell: Image.Image, text: str) -> None:
    """Draw the text that fits below an image; the built-in font has ASCII characters only."""
    plain = text.encode("ascii", "replace").decode()
    draw.text((2, cell.height - CAPTION_PIXELS + 1), plain[: max(3, cell.width // 6)], fill="black")


def _enlarge(pixels: np.ndarray) -> np.ndarray:
    factor = max(1, MIN_SIDE_PIXELS // max(pixels.shape[1:]))
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)


def _arrange(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Return cells ``(H, W, 3)`` in rows on white, as close to a square as possible."""
    height, width = (max(cell.shape[side] for cell in cells) for side in (0, 1))
    columns = math.ceil(math.sqrt(len(cells)))
    rows = math.ceil(len(cells) / columns)
    grid = np.full(
        (rows * (height + GAP_PIXELS) + GAP_PIXELS, columns * (width + GAP_PIXELS) + GAP_PIXELS, 3), 255, np.uint8
    )
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        y, x = GAP_PIXELS + row * (height + GAP_PIXELS), GAP_PIXELS + column * (width + GAP_PIXELS)
        grid[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    return grid
