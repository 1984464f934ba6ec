"""A sheet of images with captions: true and predicted labels, as textbooks draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from yisheng.reporting.run_figures.figure import (
    MARGIN,
    TITLE_HEIGHT,
    RunFigure,
    add_axes,
    make_figure,
    place,
    shorten_to,
    styled,
    use_fonts,
)
from yisheng.reporting.section import format_label
from yisheng.reporting.svg import FIRST_COLOR, GRID, MUTED, SECOND_COLOR, TEXT

CAPTION_SIZE, NOTE_SIZE = 8.5, 7.5
LINE_HEIGHT = 0.155
GAP = 0.16
TILE_WIDTH = 1.05
"""Inches of an image and of its captions."""
SEPARATOR = " · "
"""Between the values of several targets; their names would not fit above an image."""
MAX_SMOOTHED_SIDE = 64
"""Images up to this size are shown with square pixels."""


@dataclass(frozen=True)
class Tile:
    """One image with its captions.

    Args:
        pixels: uint8 ``(H, W)`` or ``(H, W, 3)``.
        true: the true label.
        predicted: the predicted label.
        is_correct: whether they agree; None where that is a matter of degree.
        note: a further line, such as a probability.
    """

    pixels: np.ndarray
    true: str
    predicted: str
    is_correct: bool | None
    note: str = ""


def draw_image_sheet(tiles: Sequence[Tile], title: str, details: str, *, columns: int) -> RunFigure:
    """Return images with the true label above the predicted one, which is marked and orange where it is wrong.

    Args:
        tiles: images and captions, at least one.
        title: of the figure.
        details: after the title.
        columns: images in a row.
    """
    columns = min(columns, len(tiles))
    ratio = max(tile.pixels.shape[0] / tile.pixels.shape[1] for tile in tiles)
    height = TILE_WIDTH * min(max(ratio, 0.5), 1.6)
    lines = 2 + any(tile.note for tile in tiles)
    step = height + lines * LINE_HEIGHT + GAP
    with styled():
        width = columns * (TILE_WIDTH + GAP) - GAP
        figure = make_figure(width, math.ceil(len(tiles) / columns) * step - GAP, title, details)
        for number, tile in enumerate(tiles):
            x_offset = MARGIN + number % columns * (TILE_WIDTH + GAP)
            top = MARGIN + TITLE_HEIGHT + number // columns * step
            _draw_image(figure, tile.pixels, x_offset, top + lines * LINE_HEIGHT, height)
            _write_captions(figure, tile, x_offset + TILE_WIDTH / 2, top)
        use_fonts(figure)
    return figure


def format_numbers(values: Any) -> str:
    """Return the value of a target, or the values of several, for a caption.

    >>> format_numbers(2.5), format_numbers([0.5, 1200.0])
    ('2.50', '0.500 · 1,200')
    """
    return SEPARATOR.join(map(format_label, values if isinstance(values, list) else [values]))


def to_pixels(image: np.ndarray) -> np.ndarray:
    """Return an image ``(C, H, W)`` of bytes or floats as uint8 ``(H, W)`` or ``(H, W, 3)``.

    Floats are stretched from their smallest to their largest value; channels that are not colors are averaged.

    >>> to_pixels(np.array([[[0.0, 2.0]]])).tolist()
    [[0, 255]]
    """
    if image.dtype != np.uint8:
        finite = np.nan_to_num(image.astype(np.float64))
        low, high = float(finite.min()), float(finite.max())
        image = np.rint((finite - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    return image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0).astype(np.uint8)


def _draw_image(figure: RunFigure, pixels: np.ndarray, x_offset: float, top: float, height: float) -> None:
    axes = add_axes(figure, x_offset, top, TILE_WIDTH, height)
    smooth = max(pixels.shape[:2]) > MAX_SMOOTHED_SIDE
    axes.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased" if smooth else "nearest", aspect="equal"
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=GRID, linewidth=0.8)


def _write_captions(figure: RunFigure, tile: Tile, center: float, top: float) -> None:
    is_wrong = tile.is_correct is False
    color = TEXT if tile.is_correct is None else SECOND_COLOR if is_wrong else FIRST_COLOR
    lines = [(tile.true, TEXT, CAPTION_SIZE), ("× " * is_wrong + tile.predicted, color, CAPTION_SIZE)]
    if tile.note:
        lines.append((tile.note, MUTED, NOTE_SIZE))
    for number, (line, text_color, size) in enumerate(lines):
        x, y = place(figure, center, top + (number + 0.7) * LINE_HEIGHT)
        bold = number == 1 and is_wrong
        text = shorten_to(line, size, TILE_WIDTH + GAP / 2, bold=bold)
        weight = "bold" if bold else "normal"
        figure.text(x, y, text, ha="center", fontsize=size, color=text_color, fontweight=weight)
