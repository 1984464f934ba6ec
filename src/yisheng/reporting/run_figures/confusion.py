"""The confusion matrix as a figure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from yisheng.core.messages import Message, translate
from yisheng.reporting.run_figures.figure import (
    MARGIN,
    TITLE_HEIGHT,
    RunFigure,
    add_axes,
    make_figure,
    measure,
    shorten_to,
    styled,
    use_fonts,
)
from yisheng.reporting.svg import FIRST_COLOR, MUTED, SECOND_COLOR, TEXT

MAX_COUNTED_CLASSES = 30
"""With more classes the cells are too small for their counts."""
MIN_SIDE, MAX_SIDE = 2.7, 7.5
"""Inches of the smallest and of the largest matrix."""
LABEL_SIZE = 9
MAX_LABEL_WIDTH = 1.6
DARK = 0.6
"""Color depth from which text in a cell is white."""


def draw_confusion(matrix: list[list[int]], names: list[str], title: str, details: str = "") -> RunFigure:
    """Return a confusion matrix: rows true, columns predicted; right ones blue, wrong ones orange.

    The depth of a color is the square root of the fraction of the row, so that rare mistakes are visible.

    Args:
        matrix: counts.
        names: of the classes.
        title: of the figure.
        details: after the title.
    """
    counts = np.asarray(matrix)
    classes = len(counts)
    cell = min(max(0.46, 0.09 * len(f"{counts.max():,}") + 0.1, MIN_SIDE / classes), MAX_SIDE / classes)
    names = [shorten_to(name, LABEL_SIZE, MAX_LABEL_WIDTH) for name in names]
    stride = max(1, math.ceil(0.17 / cell))  # labels of a line's height
    label_width = max(measure(name, LABEL_SIZE) for name in names[::stride]) + 0.12
    is_upright = max(measure(name, LABEL_SIZE) for name in names) > cell - 0.06
    label_height = label_width if is_upright else 0.25
    side = cell * classes
    with styled():
        figure = make_figure(label_width + 0.25 + side, side + label_height + 0.25, title, details)
        axes = add_axes(figure, MARGIN + label_width + 0.25, MARGIN + TITLE_HEIGHT, side, side)
        axes.imshow(_color_cells(counts), aspect="auto", interpolation="nearest")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, pad=4)
        rotation = {"rotation": 90, "va": "top"} if is_upright else {}
        axes.set_xticks(range(0, classes, stride), names[::stride], fontsize=LABEL_SIZE, **rotation)
        axes.set_yticks(range(0, classes, stride), names[::stride], fontsize=LABEL_SIZE)
        axes.set_xlabel(translate(Message("predicted")), color=MUTED, labelpad=4)
        axes.set_ylabel(translate(Message("true")), color=MUTED, labelpad=4)
        _separate_cells(axes, classes)
        if classes <= MAX_COUNTED_CLASSES:
            _write_counts(axes, counts, cell)
        use_fonts(figure)
    return figure


def _depths(counts: np.ndarray) -> np.ndarray:
    return np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _color_cells(counts: np.ndarray) -> np.ndarray:
    """Return the color of each cell, float ``(C, C, 3)``."""
    from matplotlib.colors import to_rgb

    correct_color, wrong_color = (np.asarray(to_rgb(color)) for color in (FIRST_COLOR, SECOND_COLOR))
    colors = np.where(np.eye(len(counts), dtype=bool)[..., None], correct_color, wrong_color)
    depths = _depths(counts)[..., None]
    return 1 - depths * (1 - colors)


def _separate_cells(axes: Any, classes: int) -> None:
    edges = np.arange(classes + 1) - 0.5
    width = 1.0 if classes <= MAX_COUNTED_CLASSES else 0.2
    axes.hlines(edges, -0.5, classes - 0.5, color="#e6eaee", linewidth=width)
    axes.vlines(edges, -0.5, classes - 0.5, color="#e6eaee", linewidth=width)
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)


def _write_counts(axes: Any, counts: np.ndarray, cell: float) -> None:
    size = min(9.0, 72 * (cell - 0.06) / (0.62 * len(f"{counts.max():,}")))
    for (row, column), depth in np.ndenumerate(_depths(counts)):
        if counts[row, column]:
            color = "white" if depth > DARK else TEXT
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=size, color=color)
