"""Small multiples of a table: how each column goes together with the target."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from yisheng.core.seeds import derive
from yisheng.core.types import Dataset
from yisheng.data._fonts import one_line, path_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 5_000
MOST_COLUMNS = 12
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#7f7f7f")
"""Told apart by colour-blind eyes too (Okabe and Ito, Color universal design, 2008), and two more."""
Group = tuple[str, np.ndarray, str]
"""Label, which rows, colour."""
INK, PALE, LINE = "#222222", "#777777", "#e4e4e4"


def charts(dataset: Dataset, rows: np.ndarray, seed: int) -> Image.Image:
    """One chart per column, at most `MOST_COLUMNS`, of at most `MOST_ROWS` rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(rows) > MOST_ROWS:
        draw = np.random.Generator(np.random.PCG64(derive(seed, "show")))
        rows = np.sort(draw.choice(rows, MOST_ROWS, replace=False))
    x, y = np.asarray(dataset.x[rows], np.float64), np.asarray(dataset.y[rows])
    names = [column.name for column in dataset.spec.columns] or [f"column {i + 1}" for i in range(x.shape[1])]
    plane = x.shape[1] == 2 and bool(dataset.spec.classes)
    shown = 1 if plane else min(x.shape[1], MOST_COLUMNS)
    across = min(4, shown)
    down = math.ceil(shown / across)
    figure = Figure(figsize=(max(5.6, 2.7 * across), 4.6 if shown == 1 else 0.9 + 2.2 * down), dpi=110)
    canvas = FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    axes = np.atleast_1d(figure.subplots(down, across, squeeze=False)).ravel()
    for spare in axes[shown:]:
        spare.set_visible(False)
    groups = _groups(dataset, y)
    for i, axis in enumerate(axes[:shown]):
        _plain(axis)
        if plane:
            for label, here, colour in groups:
                axis.scatter(x[here, 0], x[here, 1], s=9, color=colour, alpha=0.6, linewidths=0, label=label)
            _write(axis.set_xlabel(""), names[0])
            _write(axis.set_ylabel(""), names[1])
        elif dataset.spec.task == "regression":
            axis.scatter(x[:, i], y[:, 0], s=9, color=COLOURS[0], alpha=0.5, linewidths=0)
            _write(axis.set_xlabel(""), names[i])
            if i % across == 0:
                unit = f" ({dataset.spec.unit})" if dataset.spec.unit else ""
                _write(axis.set_ylabel(""), f"{dataset.spec.target}{unit}")
        else:
            _histograms(axis, x[:, i], groups)
            _write(axis.set_xlabel(""), names[i])
    _head(figure, dataset, shown if not plane else 2, x.shape[1], groups)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # no font has it: a box is drawn
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _groups(dataset: Dataset, y: np.ndarray) -> list[Group]:
    """Label, rows and colour of what is told apart; everything together where there would be too many."""
    spec = dataset.spec
    everything = [("", np.ones(len(y), bool), COLOURS[0])]
    if spec.task == "regression" or len(spec.classes) > len(COLOURS):
        return everything
    here = [y[:, c] > 0 if spec.task == "multilabel" else y == c for c in range(len(spec.classes))]
    return list(zip(spec.classes, here, COLOURS, strict=False))


def _histograms(axis: Axes, values: np.ndarray, groups: list[Group]) -> None:
    there = np.isfinite(values)
    if not there.any():
        return
    levels = np.unique(values[there])
    low, high = float(levels[0]), float(levels[-1])
    if high - low <= 24 and np.array_equal(levels, np.rint(levels)) and abs(high) < 1e9:  # a bar on each whole number
        edges = np.arange(low - 0.5, high + 1)
    else:
        pad = max(0.5, 1e-3 * abs(low)) if high - low <= 1e-9 * abs(low) else 0.0
        bins = int(np.clip(2 * np.count_nonzero(there) ** (1 / 3), 8, 24))  # Rice's rule
        edges = np.linspace(low - pad, high + pad, bins + 1)
    for label, here, colour in groups:
        kwargs: dict[str, Any] = {"bins": edges, "color": colour, "histtype": "stepfilled"}
        axis.hist(values[there & here], alpha=0.35, label=label, **kwargs)
        axis.hist(values[there & here], **{**kwargs, "histtype": "step"}, linewidth=1.2)
    axis.set_yticks([])


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(LINE)
    axis.tick_params(colors=PALE, labelsize=8, length=0)
    axis.grid(color=LINE, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.locator_params(axis="x", nbins=5)


def _head(figure: Figure, dataset: Dataset, shown: int, columns: int, groups: list[Group]) -> None:
    from matplotlib.lines import Line2D

    of = f"{shown} of {columns} columns" if shown < columns else f"{columns} column{'s' if columns > 1 else ''}"
    title = figure.suptitle("", x=0.01, ha="left")
    _write(title, f"{dataset.name}: {len(dataset):,} rows, {of}, target: {dataset.spec.target}", size=12, most=100)
    if len(groups) < 2:
        return
    handles = [Line2D([], [], marker="s", linestyle="", color=colour) for _, _, colour in groups]
    legend = figure.legend(
        handles, ["-"] * len(groups), loc="outside lower center", ncols=min(len(groups), 4), frameon=False
    )
    for text, (label, _, _) in zip(legend.get_texts(), groups, strict=True):
        _write(text, label)


def _write(text: Any, content: str, size: float = 9, most: int = 34) -> None:
    """Put a name into a text of matplotlib as it is: any script, no formulas."""
    content = one_line(content, most)
    text.set_parse_math(False)
    text.set(text=content, color=INK, fontproperties=_font(content, size))


def _font(content: str, size: float) -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=path_for(content), size=size)
