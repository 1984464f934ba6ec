"""Images side by side, as one image."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from yisheng.reporting.evaluation_schema import Mistake

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

MOST = 64
SIDE = 64
"""Images are shown at least so large, in whole multiples of their pixels."""
GAP = 2
TEXT = 14


def of_batch(pixels: np.ndarray) -> np.ndarray:
    """A grid of the images of a batch, 64 of them at most.

    Args:
        pixels: ``(B, C, H, W)``: uint8, or any numbers, whose range is then that of the grey levels. Of images with
            neither one nor three channels the first is shown.

    Returns:
        uint8 ``(H, W, 3)``.

    >>> of_batch(np.zeros((5, 1, 32, 32), np.uint8)).shape
    (134, 200, 3)
    """
    pixels = pixels[:MOST]
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float64)
        known = pixels[np.isfinite(pixels)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
        scaled = (np.nan_to_num(pixels) - low) / max(high - low, 1e-12)
        pixels = (255 * scaled.clip(0, 1)).round().astype(np.uint8)
    if pixels.shape[1] not in (1, 3):
        pixels = pixels[:, :1]
    shown = np.repeat(pixels, 3, axis=1) if pixels.shape[1] == 1 else pixels
    return _laid([np.moveaxis(_larger(one), 0, 2) for one in shown])


def of_mistakes(mistakes: Sequence[Mistake], words: Sequence[tuple[str, str]]) -> np.ndarray | None:
    """A grid of the images of mistakes, under each what it is and what it was taken for; None without images.

    Args:
        mistakes: the worst first.
        words: their true and predicted classes, by name.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    from PIL import Image, ImageDraw

    cells = []
    for mistake, (true, predicted) in list(zip(mistakes, words, strict=True))[:MOST]:
        if mistake.size is None or mistake.image is None:
            continue
        try:
            with Image.open(io.BytesIO(base64.b64decode(mistake.image))) as file:
                image = file.convert("RGB")
        except (OSError, ValueError):
            continue
        pixels = _larger(np.moveaxis(np.asarray(image), 2, 0))
        cell = Image.new("RGB", (pixels.shape[2], pixels.shape[1] + TEXT), "white")
        cell.paste(Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, 2))), (0, 0))
        _caption(ImageDraw.Draw(cell), cell, f"{true} > {predicted}")
        cells.append(np.asarray(cell))
    return _laid(cells) if cells else None


def _caption(draw: ImageDraw.ImageDraw, cell: Image.Image, text: str) -> None:
    """What fits under an image, in the signs that the built-in font has."""
    plain = text.encode("ascii", "replace").decode()
    draw.text((2, cell.height - TEXT + 1), plain[: max(3, cell.width // 6)], fill="black")


def _larger(pixels: np.ndarray) -> np.ndarray:
    times = max(1, SIDE // max(pixels.shape[1:]))
    return pixels.repeat(times, axis=1).repeat(times, axis=2)


def _laid(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Cells ``(H, W, 3)`` in rows, on white, as near to a square as it goes."""
    height, width = (max(cell.shape[side] for cell in cells) for side in (0, 1))
    across = math.ceil(math.sqrt(len(cells)))
    down = math.ceil(len(cells) / across)
    whole = np.full((down * (height + GAP) + GAP, across * (width + GAP) + GAP, 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(number, across)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        whole[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return whole
