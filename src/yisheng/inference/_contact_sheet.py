"""A contact sheet: small images with captions in a grid, under a heading."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from yisheng.core.fonts import find_font_path, shorten_line

MARGIN, GAP, HEADING_HEIGHT, CAPTION_HEIGHT = 20, 6, 44, 18
HEADING_SIZE, DETAILS_SIZE, CAPTION_SIZE = 20, 14, 11
HEADING_GAP, HEADING_BASELINE = 14, 16
BACKGROUND, TEXT, MUTED_TEXT, BORDER = "#ffffff", "#222222", "#777777", "#d8d8d8"

Tile = tuple[str, np.ndarray]
"""A caption and an image, uint8 ``(H, W)`` or ``(H, W, 3)``."""


def draw_contact_sheet(title: str, details: str, tiles: Sequence[Tile], *, side: int, columns: int) -> Image.Image:
    """Draw the tiles row by row, all at the same size.

    Args:
        title: the heading.
        details: a few words after it.
        tiles: captions and images, at least one; the shape of the last one decides the size of all.
        side: longest side of a drawn image, in pixels; smaller images are magnified by an integer factor.
        columns: tiles per row.
    """
    width, height = size = _tile_size(tiles[-1][1], side)
    images = [_resize(pixels, size) for _, pixels in tiles]
    column_count, row_count = min(columns, len(tiles)), math.ceil(len(tiles) / columns)
    caption_height = CAPTION_HEIGHT if any(caption for caption, _ in tiles) else 0
    title, details = shorten_line(title, 60), shorten_line(details, 160)
    title_font = ImageFont.truetype(find_font_path(title), HEADING_SIZE)
    details_font = ImageFont.truetype(find_font_path(details), DETAILS_SIZE)
    details_start = title_font.getlength(title) + HEADING_GAP
    heading_width = math.ceil(details_start + details_font.getlength(details))
    inner_width = max(column_count * (width + GAP) - GAP, heading_width)
    inner_height = HEADING_HEIGHT + row_count * (height + caption_height + GAP) - GAP
    sheet = Image.new("RGB", (2 * MARGIN + inner_width, 2 * MARGIN + inner_height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    baseline = MARGIN + HEADING_BASELINE
    draw.text((MARGIN, baseline), title, TEXT, font=title_font, anchor="ls")
    draw.text((MARGIN + details_start, baseline), details, MUTED_TEXT, font=details_font, anchor="ls")
    for index, (image, (caption, _)) in enumerate(zip(images, tiles, strict=True)):
        x = MARGIN + index % columns * (width + GAP)
        y = MARGIN + HEADING_HEIGHT + index // columns * (height + caption_height + GAP)
        sheet.paste(image, (x, y))
        draw.rectangle((x - 1, y - 1, x + width, y + height), outline=BORDER)
        if caption:
            font = ImageFont.truetype(find_font_path(caption), CAPTION_SIZE)
            draw.text((x + width / 2, y + height + 12), caption, TEXT, font=font, anchor="ms")
    return sheet


def scale_signed(values: np.ndarray, max_magnitude: float | None = None) -> np.ndarray:
    """Scale signed numbers to brightness: zero is middle gray, the largest absolute value black or white.

    Args:
        values: of any shape.
        max_magnitude: the absolute value that becomes black or white; the largest one in ``values`` by default.

    >>> scale_signed(np.array([-2.0, 0.0, 1.0])).tolist()
    [0, 128, 191]
    """
    magnitude = float(np.abs(values).max(initial=0.0)) if max_magnitude is None else max_magnitude
    return np.rint(127.5 + 127.5 * values / (magnitude or 1.0)).astype(np.uint8)


def stretch_contrast(values: np.ndarray) -> np.ndarray:
    """Scale numbers to brightness: the smallest is black, the largest white.

    >>> stretch_contrast(np.array([2.0, 3.0, 4.0])).tolist()
    [0, 128, 255]
    """
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)


def _tile_size(pixels: np.ndarray, side: int) -> tuple[int, int]:
    """Return the width and height at which an image is drawn."""
    height, width = pixels.shape[:2]
    factor = side // max(height, width)
    scale = factor if factor >= 1 else side / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    method = Image.Resampling.NEAREST if size[0] >= pixels.shape[1] else Image.Resampling.LANCZOS
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB").resize(size, method)
