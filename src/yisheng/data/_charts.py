"""Charts of a table: how each column is related to the target."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from yisheng.core.dataset import Dataset
from yisheng.core.fonts import find_font_path, shorten_line
from yisheng.core.seeds import derive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 5_000
MAX_COLUMNS = 12
CHARTS_PER_ROW = 4
MAX_LABEL_LENGTH, MAX_TITLE_LENGTH = 34, 100
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#7f7f7f")
"""Distinguishable by color-blind eyes too (Okabe and Ito, Color universal design, 2008), and two more."""
Group = tuple[str, np.ndarray, str]
"""Label, mask of the rows, color."""
TEXT_COLOR, TICK_COLOR, LINE_COLOR = "#222222", "#777777", "#e4e4e4"


def draw_charts(dataset: Dataset, rows: np.ndarray, seed: int) -> Image.Image:
    """Draw one chart per column, of at most `MAX_COLUMNS` columns and `MAX_ROWS` rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(rows) > MAX_ROWS:
        rng = np.random.Generator(np.random.PCG64(derive(seed, "show")))
        rows = np.sort(rng.choice(rows, MAX_ROWS, replace=False))
    x, y = np.asarray(dataset.x[rows], np.float64), np.asarray(dataset.y[rows])
    names = [column.name for column in dataset.spec.columns] or [f"column {i + 1}" for i in range(x.shape[1])]
    is_plane = x.shape[1] == 2 and bool(dataset.spec.classes)
    n_charts = 1 if is_plane else min(x.shape[1], MAX_COLUMNS)
    n_across = min(CHARTS_PER_ROW, n_charts)
    n_down = math.ceil(n_charts / n_across)
    figure = Figure(figsize=(max(5.6, 2.7 * n_across), 4.6 if n_charts == 1 else 0.9 + 2.2 * n_down), dpi=110)
    canvas = FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    axes = np.atleast_1d(figure.subplots(n_down, n_across, squeeze=False)).ravel()
    for unused in axes[n_charts:]:
        unused.set_visible(False)
    groups = _make_groups(dataset, y)
    for i, axis in enumerate(axes[:n_charts]):
        _simplify(axis)
        if is_plane:
            _draw_plane(axis, x, names, groups)
        else:
            _draw_column(axis, dataset, x[:, i], y, groups, with_y_label=i % n_across == 0)
            _set_text(axis.set_xlabel(""), names[i])
    _draw_title_and_legend(figure, dataset, 2 if is_plane else n_charts, x.shape[1], groups)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # no font has it: a box is drawn
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _make_groups(dataset: Dataset, y: np.ndarray) -> list[Group]:
    """Return one group per class; a single group if there are no classes or too many."""
    spec = dataset.spec
    if spec.task == "regression" or len(spec.classes) > len(COLORS):
        return [("", np.ones(len(y), bool), COLORS[0])]
    masks = [y[:, c] > 0 if spec.task == "multilabel" else y == c for c in range(len(spec.classes))]
    return list(zip(spec.classes, masks, COLORS, strict=False))


def _draw_plane(axis: Axes, x: np.ndarray, names: list[str], groups: list[Group]) -> None:
    for label, mask, color in groups:
        axis.scatter(x[mask, 0], x[mask, 1], s=9, color=color, alpha=0.6, linewidths=0, label=label)
    _set_text(axis.set_xlabel(""), names[0])
    _set_text(axis.set_ylabel(""), names[1])


def _draw_column(
    axis: Axes, dataset: Dataset, values: np.ndarray, y: np.ndarray, groups: list[Group], *, with_y_label: bool
) -> None:
    if dataset.spec.task != "regression":
        _draw_histograms(axis, values, groups)
        return
    axis.scatter(values, y[:, 0], s=9, color=COLORS[0], alpha=0.5, linewidths=0)
    if with_y_label:
        unit = f" ({dataset.spec.unit})" if dataset.spec.unit else ""
        _set_text(axis.set_ylabel(""), f"{dataset.spec.target}{unit}")


def _draw_histograms(axis: Axes, values: np.ndarray, groups: list[Group]) -> None:
    finite = np.isfinite(values)
    if not finite.any():
        return
    unique = np.unique(values[finite])
    low, high = float(unique[0]), float(unique[-1])
    if high - low <= 24 and np.array_equal(unique, np.rint(unique)) and abs(high) < 1e9:  # a bar for each integer
        edges = np.arange(low - 0.5, high + 1)
    else:
        pad = max(0.5, 1e-3 * abs(low)) if high - low <= 1e-9 * abs(low) else 0.0
        bins = int(np.clip(2 * np.count_nonzero(finite) ** (1 / 3), 8, 24))  # Rice's rule
        edges = np.linspace(low - pad, high + pad, bins + 1)
    for label, mask, color in groups:
        kwargs: dict[str, Any] = {"bins": edges, "color": color, "histtype": "stepfilled"}
        axis.hist(values[finite & mask], alpha=0.35, label=label, **kwargs)
        axis.hist(values[finite & mask], **{**kwargs, "histtype": "step"}, linewidth=1.2)
    axis.set_yticks([])


def _simplify(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(LINE_COLOR)
    axis.tick_params(colors=TICK_COLOR, labelsize=8, length=0)
    axis.grid(color=LINE_COLOR, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.locator_params(axis="x", nbins=5)


def _draw_title_and_legend(figure: Figure, dataset: Dataset, n_shown: int, n_columns: int, groups: list[Group]) -> None:
    from matplotlib.lines import Line2D

    columns = (
        f"{n_shown} of {n_columns} columns" if n_shown < n_columns else f"{n_columns} column{'s' * (n_columns > 1)}"
    )
    title = f"{dataset.name}: {len(dataset):,} rows, {columns}, target: {dataset.spec.target}"
    _set_text(figure.suptitle("", x=0.01, ha="left"), title, size=12, max_length=MAX_TITLE_LENGTH)
    if len(groups) < 2:
        return
    handles = [Line2D([], [], marker="s", linestyle="", color=color) for _, _, color in groups]
    legend = figure.legend(
        handles, ["-"] * len(groups), loc="outside lower center", ncols=min(len(groups), 4), frameon=False
    )
    for text, (label, _, _) in zip(legend.get_texts(), groups, strict=True):
        _set_text(text, label)


def _set_text(text: Any, content: str, size: float = 9, max_length: int = MAX_LABEL_LENGTH) -> None:
    """Set the content of a matplotlib text literally: any script, no formulas."""
    from matplotlib.font_manager import FontProperties

    content = shorten_line(content, max_length)
    font = FontProperties(fname=find_font_path(content), size=size)
    text.set_parse_math(False)
    text.set(text=content, color=TEXT_COLOR, fontproperties=font)
