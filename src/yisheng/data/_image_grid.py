"""A labelled grid of images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from yisheng.core.seeds import derive
from yisheng.core.types import Dataset
from yisheng.data._fonts import one_line, path_for

SIDE = 96
"""Longest side of a shown image, in pixels; small ones are magnified by a whole number."""
WIDTH = 10
"""Images beside one another."""
MARGIN, GAP, GROUP_GAP, HEAD, CAPTION, MARK = 20, 6, 18, 44, 22, 52
PAPER, INK, PALE, LINE = "#ffffff", "#222222", "#777777", "#d8d8d8"


def grid(dataset: Dataset, rows: np.ndarray, n: int, seed: int) -> Image.Image:
    """``n`` images from ``rows``; a column or more for each class where there are few, else captions."""
    draw = np.random.Generator(np.random.PCG64(derive(seed, "show")))
    classes = dataset.spec.classes
    if dataset.spec.task == "classification" and len(classes) <= WIDTH + 2:
        return _by_class(dataset, rows, n, draw)
    chosen = np.sort(draw.choice(rows, min(n, len(rows)), replace=False))
    if dataset.spec.task == "classification":
        chosen = chosen[np.argsort(dataset.y[chosen], kind="stable")]
    tiles = _tiles(_bytes(dataset.x[chosen]))
    width, height = tiles[0].size
    columns = min(WIDTH, len(tiles))
    down = math.ceil(len(tiles) / columns)
    sheet, pen = _sheet(dataset, columns * (width + GAP) - GAP, down * (height + CAPTION + GAP))
    for i, (tile, row) in enumerate(zip(tiles, chosen, strict=True)):
        left = MARGIN + i % columns * (width + GAP)
        top = MARGIN + HEAD + i // columns * (height + CAPTION + GAP)
        _paste(sheet, pen, tile, left, top)
        _centred(pen, _caption(dataset, int(row)), left, top + height + 3, width)
    return sheet


def _by_class(dataset: Dataset, rows: np.ndarray, n: int, draw: np.random.Generator) -> Image.Image:
    classes = dataset.spec.classes
    each = max(1, WIDTH // len(classes))  # columns of one class
    down = math.ceil(n / (each * len(classes)))
    of_class = [rows[dataset.y[rows] == c] for c in range(len(classes))]
    chosen = [draw.choice(of, min(down * each, len(of)), replace=False) for of in of_class]
    cells = [(r, c, k) for r in range(down) for c in range(len(classes)) for k in range(each)]
    cells = [(r, c, k) for r, c, k in cells if r * each + k < len(chosen[c])][:n]
    down = 1 + max(r for r, _, _ in cells)
    tiles = _tiles(_bytes(dataset.x[[chosen[c][r * each + k] for r, c, k in cells]]))
    width, height = tiles[0].size
    group = each * (width + GAP) - GAP
    step = group + (GROUP_GAP if each > 1 else GAP)
    sheet, pen = _sheet(dataset, len(classes) * step - (step - group), CAPTION + down * (height + GAP) - GAP)
    for c, name in enumerate(classes):
        _centred(pen, name, MARGIN + c * step, MARGIN + HEAD, group)
    for tile, (r, c, k) in zip(tiles, cells, strict=True):
        _paste(sheet, pen, tile, MARGIN + c * step + k * (width + GAP), MARGIN + HEAD + CAPTION + r * (height + GAP))
    return sheet


def before_after(
    dataset: Dataset, rows: np.ndarray, before: np.ndarray, after: Sequence[np.ndarray], said: Sequence[Sequence[str]]
) -> Image.Image:
    """Images over their changed selves, ten beside one another.

    Args:
        dataset: where they come from.
        rows: which ones, ``(n,)``.
        before: as they were, ``(n, C, H, W)``.
        after: as they became, each ``(n, C, H, W)``.
        said: under each of ``after``, a caption for every image, perhaps of several lines, or none where the
            targets are what they were.
    """
    low, high = _range(before)
    lines = [_tiles(_bytes(np.clip(x.astype(np.float32), low, high), (low, high))) for x in (before, *after)]
    width, height = lines[0][0].size
    step = height + GAP + CAPTION * max((text.count("\n") + 1 for texts in said for text in texts), default=0)
    band = CAPTION + (height + GROUP_GAP) + len(after) * step + GROUP_GAP
    count, columns = len(rows), min(WIDTH, len(rows))
    down = math.ceil(count / columns)
    sheet, pen = _sheet(dataset, MARK + columns * (width + GAP) - GAP, down * band - GROUP_GAP)
    for i in range(count):
        left, top = MARGIN + MARK + i % columns * (width + GAP), MARGIN + HEAD + i // columns * band
        _centred(pen, _caption(dataset, int(rows[i])), left, top, width)
        _paste(sheet, pen, lines[0][i], left, top + CAPTION)
        for k in range(len(after)):
            under = top + CAPTION + height + GROUP_GAP + k * step
            _paste(sheet, pen, lines[k + 1][i], left, under)
            for line, text in enumerate(said[k][i].splitlines() if said[k] else ()):
                _centred(pen, text, left, under + height + 3 + line * CAPTION, width)
    for line in range(down):
        top = MARGIN + HEAD + line * band + CAPTION
        _centred(pen, "before", MARGIN, top + height // 2 - 8, MARK - GAP)
        _centred(pen, "after", MARGIN, top + height + GROUP_GAP + height // 2 - 8, MARK - GAP)
    return sheet


def evenly(dataset: Dataset, rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """``n`` of the rows by chance, as many of each class as can be, in the order of the classes."""
    rows = np.random.Generator(np.random.PCG64(derive(seed, "show"))).permutation(rows)
    if dataset.spec.task != "classification":
        return np.sort(rows[:n])
    y = dataset.y[rows]
    rank = np.empty(len(rows), np.int64)  # of each row among those of its class
    for c in np.unique(y):
        rank[y == c] = np.arange(np.count_nonzero(y == c))
    chosen = rows[np.argsort(rank, kind="stable")[:n]]
    return chosen[np.lexsort((chosen, dataset.y[chosen]))]


def _sheet(dataset: Dataset, width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty sheet with a heading, for contents of some size."""
    channels, tall, wide = dataset.spec.shape
    facts = f"{len(dataset):,} {'grey ' if channels == 1 else ''}images of {wide} x {tall}"
    if dataset.spec.classes:
        what = "labels" if dataset.spec.task == "multilabel" else "classes"
        facts += f", {len(dataset.spec.classes)} {what}"
    name = one_line(dataset.name, 40)
    big, small = ImageFont.truetype(path_for(name), 20), ImageFont.truetype(path_for(facts), 14)
    needed = math.ceil(big.getlength(name) + 14 + small.getlength(facts))
    sheet = Image.new("RGB", (2 * MARGIN + max(width, needed), 2 * MARGIN + HEAD + height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN + 16), name, INK, font=big, anchor="ls")
    pen.text((MARGIN + big.getlength(name) + 14, MARGIN + 16), facts, PALE, font=small, anchor="ls")
    return sheet, pen


def _paste(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Image.Image, left: int, top: int) -> None:
    sheet.paste(tile, (left, top))
    pen.rectangle((left - 1, top - 1, left + tile.width, top + tile.height), outline=LINE)


def _centred(pen: ImageDraw.ImageDraw, text: str, left: int, top: int, width: int) -> None:
    """A caption, cut to the width."""
    text = one_line(text, 200)
    font = ImageFont.truetype(path_for(text), 13)
    while len(text) > 1 and font.getlength(text) > width + GAP:
        text = text[:-2].rstrip() + "…"
    pen.text((left + width / 2, top + 13), text, INK, font=font, anchor="ms")


def _caption(dataset: Dataset, row: int) -> str:
    spec, y = dataset.spec, dataset.y[row]
    if spec.task == "classification":
        return spec.classes[int(y)]
    if spec.task == "multilabel":
        return ", ".join(name for name, there in zip(spec.classes, y, strict=True) if there) or "none"
    return ", ".join(f"{value:.4g}" for value in np.atleast_1d(y))


def _range(x: np.ndarray) -> tuple[float, float]:
    """The values that black and white stand for: 0 and 255, and of floats the least and the largest."""
    if x.dtype == np.uint8:
        return 0.0, 255.0
    there = x[np.isfinite(x)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    return low, high if high > low else low + 1.0


def _bytes(x: np.ndarray, ends: tuple[float, float] | None = None) -> np.ndarray:
    """Images as bytes, black and white at these ends, or at their own."""
    if x.dtype == np.uint8:
        return x
    low, high = ends or _range(x)
    x = np.nan_to_num(x, nan=low, posinf=low, neginf=low)
    return np.rint((x - low) * (255 / (high - low))).astype(np.uint8)


def _tiles(x: np.ndarray) -> list[Image.Image]:
    """Images of bytes ``(n, C, H, W)``, all of one size."""
    if x.shape[1] not in (1, 3):  # no colours that could be shown: their mean
        x = x.mean(axis=1, keepdims=True).astype(np.uint8)
    tall, wide = x.shape[2:]
    factor = SIDE // max(tall, wide)
    scale = factor if factor >= 1 else SIDE / max(tall, wide)
    size = (max(1, round(wide * scale)), max(1, round(tall * scale)))
    how = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS
    images = (Image.fromarray(a[0] if len(a) == 1 else np.ascontiguousarray(a.transpose(1, 2, 0))) for a in x)
    return [image.convert("RGB").resize(size, how) for image in images]
