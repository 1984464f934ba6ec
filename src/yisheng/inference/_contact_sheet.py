"""A sheet of small images with captions under a heading."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from yisheng.data._fonts import one_line, path_for

MARGIN, GAP, HEAD, CAPTION = 20, 6, 44, 18
PAPER, INK, PALE, LINE = "#ffffff", "#222222", "#777777", "#d8d8d8"

Tile = tuple[str, np.ndarray]
"""A caption and an image, uint8 ``(H, W)`` or ``(H, W, 3)``."""


def sheet(title: str, facts: str, tiles: Sequence[Tile], *, side: int, columns: int) -> Image.Image:
    """The tiles row by row, all of one size.

    Args:
        title: what is shown.
        facts: a few words beside it.
        tiles: captions and images, at least one; the last one's shape decides the size of all.
        side: longest side of a shown image, in pixels; smaller ones are magnified by a whole number.
        columns: tiles beside one another.
    """
    width, height = size = _size(tiles[-1][1], side)
    images = [_sized(values, size) for _, values in tiles]
    beside, down = min(columns, len(tiles)), math.ceil(len(tiles) / columns)
    caption = CAPTION if any(text for text, _ in tiles) else 0
    title, facts = one_line(title, 60), one_line(facts, 160)
    big, small = ImageFont.truetype(path_for(title), 20), ImageFont.truetype(path_for(facts), 14)
    needed = math.ceil(big.getlength(title) + 14 + small.getlength(facts))
    inner = max(beside * (width + GAP) - GAP, needed)
    paper = Image.new("RGB", (2 * MARGIN + inner, 2 * MARGIN + HEAD + down * (height + caption + GAP) - GAP), PAPER)
    pen = ImageDraw.Draw(paper)
    pen.text((MARGIN, MARGIN + 16), title, INK, font=big, anchor="ls")
    pen.text((MARGIN + big.getlength(title) + 14, MARGIN + 16), facts, PALE, font=small, anchor="ls")
    for number, (image, (text, _)) in enumerate(zip(images, tiles, strict=True)):
        left = MARGIN + number % columns * (width + GAP)
        top = MARGIN + HEAD + number // columns * (height + caption + GAP)
        paper.paste(image, (left, top))
        pen.rectangle((left - 1, top - 1, left + width, top + height), outline=LINE)
        if text:
            font = ImageFont.truetype(path_for(text), 11)
            pen.text((left + width / 2, top + height + 12), text, INK, font=font, anchor="ms")
    return paper


def signed(values: np.ndarray, largest: float | None = None) -> np.ndarray:
    """Numbers as brightness: zero is mid-grey, the largest absolute value black or white.

    Args:
        values: of any shape.
        largest: what becomes black or white; the largest absolute value without it.

    >>> signed(np.array([-2.0, 0.0, 1.0])).tolist()
    [0, 128, 191]
    """
    most = float(np.abs(values).max(initial=0.0)) if largest is None else largest
    return np.rint(127.5 + 127.5 * values / (most or 1.0)).astype(np.uint8)


def stretched(values: np.ndarray) -> np.ndarray:
    """Numbers as brightness: the smallest is black, the largest white.

    >>> stretched(np.array([2.0, 3.0, 4.0])).tolist()
    [0, 128, 255]
    """
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)


def _size(values: np.ndarray, side: int) -> tuple[int, int]:
    """Width and height at which an image is shown."""
    tall, wide = values.shape[:2]
    factor = side // max(tall, wide)
    scale = factor if factor >= 1 else side / max(tall, wide)
    return max(1, round(wide * scale)), max(1, round(tall * scale))


def _sized(values: np.ndarray, size: tuple[int, int]) -> Image.Image:
    how = Image.Resampling.NEAREST if size[0] >= values.shape[1] else Image.Resampling.LANCZOS
    return Image.fromarray(np.ascontiguousarray(values)).convert("RGB").resize(size, how)
