"""A sheet of labeled images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from yisheng.core.dataset import Dataset
from yisheng.core.fonts import find_font_path, shorten_line
from yisheng.core.seeds import derive

TILE_SIDE = 96
"""Longest side of a shown image, in pixels; small images are enlarged by an integer factor."""
IMAGES_PER_ROW = 10
MARGIN, GAP, GROUP_GAP, HEADING, CAPTION, ROW_LABEL = 20, 6, 18, 44, 22, 52
"""Heights and widths in pixels."""
NAME_SIZE, FACTS_SIZE, CAPTION_SIZE = 20, 14, 13
"""Font sizes in pixels."""
BACKGROUND_COLOR, TEXT_COLOR, FACTS_COLOR, LINE_COLOR = "#ffffff", "#222222", "#777777", "#d8d8d8"


def draw_grid(dataset: Dataset, rows: np.ndarray, n: int, seed: int) -> Image.Image:
    """Draw ``n`` of the images: one or more columns for each class if there are few classes, else with captions."""
    rng = np.random.Generator(np.random.PCG64(derive(seed, "show")))
    classes = dataset.spec.classes
    if dataset.spec.task == "classification" and len(classes) <= IMAGES_PER_ROW + 2:
        return _draw_by_class(dataset, rows, n, rng)
    chosen = np.sort(rng.choice(rows, min(n, len(rows)), replace=False))
    if dataset.spec.task == "classification":
        chosen = chosen[np.argsort(dataset.y[chosen], kind="stable")]
    tiles = _make_tiles(_to_bytes(dataset.x[chosen]))
    width, height = tiles[0].size
    n_across = min(IMAGES_PER_ROW, len(tiles))
    n_down = math.ceil(len(tiles) / n_across)
    sheet, draw = _make_sheet(dataset, n_across * (width + GAP) - GAP, n_down * (height + CAPTION + GAP))
    for i, (tile, row) in enumerate(zip(tiles, chosen, strict=True)):
        x = MARGIN + i % n_across * (width + GAP)
        y = MARGIN + HEADING + i // n_across * (height + CAPTION + GAP)
        _paste(sheet, draw, tile, x, y)
        _write_centered(draw, _describe_target(dataset, int(row)), x, y + height + 3, width)
    return sheet


def _draw_by_class(dataset: Dataset, rows: np.ndarray, n: int, rng: np.random.Generator) -> Image.Image:
    classes = dataset.spec.classes
    n_each = max(1, IMAGES_PER_ROW // len(classes))  # columns of one class
    n_down = math.ceil(n / (n_each * len(classes)))
    class_rows = [rows[dataset.y[rows] == c] for c in range(len(classes))]
    chosen = [rng.choice(members, min(n_down * n_each, len(members)), replace=False) for members in class_rows]
    cells = [(r, c, k) for r in range(n_down) for c in range(len(classes)) for k in range(n_each)]
    cells = [(r, c, k) for r, c, k in cells if r * n_each + k < len(chosen[c])][:n]
    n_down = 1 + max(r for r, _, _ in cells)
    tiles = _make_tiles(_to_bytes(dataset.x[[chosen[c][r * n_each + k] for r, c, k in cells]]))
    width, height = tiles[0].size
    group_width = n_each * (width + GAP) - GAP
    step = group_width + (GROUP_GAP if n_each > 1 else GAP)
    sheet_width = len(classes) * step - (step - group_width)
    sheet, draw = _make_sheet(dataset, sheet_width, CAPTION + n_down * (height + GAP) - GAP)
    for c, name in enumerate(classes):
        _write_centered(draw, name, MARGIN + c * step, MARGIN + HEADING, group_width)
    for tile, (r, c, k) in zip(tiles, cells, strict=True):
        x, y = MARGIN + c * step + k * (width + GAP), MARGIN + HEADING + CAPTION + r * (height + GAP)
        _paste(sheet, draw, tile, x, y)
    return sheet


def draw_before_after(
    dataset: Dataset,
    rows: np.ndarray,
    original: np.ndarray,
    copies: Sequence[np.ndarray],
    captions: Sequence[Sequence[str]],
) -> Image.Image:
    """Draw images above their augmented copies, ten in a row.

    Args:
        dataset: the data set of the images.
        rows: their row numbers ``(n,)``.
        original: the images ``(n, C, H, W)``.
        copies: augmented copies, each ``(n, C, H, W)``.
        captions: for each copy a text per image, possibly of several lines; empty if the targets are unchanged.
    """
    low, high = _pixel_range(original)
    tiles = [_make_tiles(_to_bytes(np.clip(x.astype(np.float32), low, high), (low, high))) for x in (original, *copies)]
    width, height = tiles[0][0].size
    caption_lines = max((text.count("\n") + 1 for texts in captions for text in texts), default=0)
    step = height + GAP + CAPTION * caption_lines
    band = CAPTION + (height + GROUP_GAP) + len(copies) * step + GROUP_GAP
    n, n_across = len(rows), min(IMAGES_PER_ROW, len(rows))
    n_bands = math.ceil(n / n_across)
    sheet, draw = _make_sheet(dataset, ROW_LABEL + n_across * (width + GAP) - GAP, n_bands * band - GROUP_GAP)
    for i in range(n):
        x, y = MARGIN + ROW_LABEL + i % n_across * (width + GAP), MARGIN + HEADING + i // n_across * band
        _write_centered(draw, _describe_target(dataset, int(rows[i])), x, y, width)
        _paste(sheet, draw, tiles[0][i], x, y + CAPTION)
        for k in range(len(copies)):
            tile_y = y + CAPTION + height + GROUP_GAP + k * step
            _paste(sheet, draw, tiles[k + 1][i], x, tile_y)
            for line, text in enumerate(captions[k][i].splitlines() if captions[k] else ()):
                _write_centered(draw, text, x, tile_y + height + 3 + line * CAPTION, width)
    for number in range(n_bands):
        y = MARGIN + HEADING + number * band + CAPTION
        _write_centered(draw, "before", MARGIN, y + height // 2 - 8, ROW_LABEL - GAP)
        _write_centered(draw, "after", MARGIN, y + height + GROUP_GAP + height // 2 - 8, ROW_LABEL - GAP)
    return sheet


def sample_evenly(dataset: Dataset, rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return ``n`` random rows, balanced over the classes as far as possible, in the order of the classes."""
    rows = np.random.Generator(np.random.PCG64(derive(seed, "show"))).permutation(rows)
    if dataset.spec.task != "classification":
        return np.sort(rows[:n])
    y = dataset.y[rows]
    rank = np.empty(len(rows), np.int64)  # of each row within its class
    for c in np.unique(y):
        rank[y == c] = np.arange(np.count_nonzero(y == c))
    chosen = rows[np.argsort(rank, kind="stable")[:n]]
    return chosen[np.lexsort((chosen, dataset.y[chosen]))]


def _make_sheet(dataset: Dataset, width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty sheet with a heading, for content of this size."""
    channels, image_height, image_width = dataset.spec.shape
    facts = f"{len(dataset):,} {'gray ' if channels == 1 else ''}images of {image_width} x {image_height}"
    if dataset.spec.classes:
        categories = "labels" if dataset.spec.task == "multilabel" else "classes"
        facts += f", {len(dataset.spec.classes)} {categories}"
    name = shorten_line(dataset.name, 40)
    name_font = ImageFont.truetype(find_font_path(name), NAME_SIZE)
    facts_font = ImageFont.truetype(find_font_path(facts), FACTS_SIZE)
    facts_x = name_font.getlength(name) + 14
    heading_width = math.ceil(facts_x + facts_font.getlength(facts))
    size = (2 * MARGIN + max(width, heading_width), 2 * MARGIN + HEADING + height)
    sheet = Image.new("RGB", size, BACKGROUND_COLOR)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN + 16), name, TEXT_COLOR, font=name_font, anchor="ls")
    draw.text((MARGIN + facts_x, MARGIN + 16), facts, FACTS_COLOR, font=facts_font, anchor="ls")
    return sheet, draw


def _paste(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Image.Image, x: int, y: int) -> None:
    sheet.paste(tile, (x, y))
    draw.rectangle((x - 1, y - 1, x + tile.width, y + tile.height), outline=LINE_COLOR)


def _write_centered(draw: ImageDraw.ImageDraw, text: str, x: int, y: int, width: int) -> None:
    """Write a caption, cut to the width."""
    text = shorten_line(text, 200)
    font = ImageFont.truetype(find_font_path(text), CAPTION_SIZE)
    while len(text) > 1 and font.getlength(text) > width + GAP:
        text = text[:-2].rstrip() + "…"
    draw.text((x + width / 2, y + 13), text, TEXT_COLOR, font=font, anchor="ms")


def _describe_target(dataset: Dataset, row: int) -> str:
    spec, y = dataset.spec, dataset.y[row]
    if spec.task == "classification":
        return spec.classes[int(y)]
    if spec.task == "multilabel":
        return ", ".join(name for name, present in zip(spec.classes, y, strict=True) if present) or "none"
    return ", ".join(f"{value:.4g}" for value in np.atleast_1d(y))


def _pixel_range(x: np.ndarray) -> tuple[float, float]:
    """Return the values of black and white: 0 and 255, and of floats the smallest and the largest."""
    if x.dtype == np.uint8:
        return 0.0, 255.0
    finite = x[np.isfinite(x)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    return low, high if high > low else low + 1.0


def _to_bytes(x: np.ndarray, pixel_range: tuple[float, float] | None = None) -> np.ndarray:
    """Return images as bytes; black and white are the ends of the range, by default those of the images."""
    if x.dtype == np.uint8:
        return x
    low, high = pixel_range or _pixel_range(x)
    x = np.nan_to_num(x, nan=low, posinf=low, neginf=low)
    return np.rint((x - low) * (255 / (high - low))).astype(np.uint8)


def _make_tiles(x: np.ndarray) -> list[Image.Image]:
    """Return images of bytes ``(n, C, H, W)`` as tiles, all of one size."""
    if x.shape[1] not in (1, 3):  # these channels are not colors: show their mean
        x = x.mean(axis=1, keepdims=True).astype(np.uint8)
    height, width = x.shape[2:]
    factor = TILE_SIDE // max(height, width)
    scale = factor if factor >= 1 else TILE_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resampling = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS
    images = (Image.fromarray(a[0] if len(a) == 1 else np.ascontiguousarray(a.transpose(1, 2, 0))) for a in x)
    return [image.convert("RGB").resize(size, resampling) for image in images]
