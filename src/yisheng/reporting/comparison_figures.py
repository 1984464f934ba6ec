"""Figures with the curves of several runs, each with its own color and marker."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yisheng.core import files
from yisheng.core.messages import Message, translate
from yisheng.reporting import figures, svg
from yisheng.reporting.formatting import format_tick, is_higher_better, score_name
from yisheng.reporting.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = (svg.FIRST_COLOR, svg.SECOND_COLOR, "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Colors that color-blind readers can distinguish: Okabe and Ito, "Color universal design" (2008)."""
MARKERS = "os^Dv*P"
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
PANEL_INCHES = (5.2, 3.4)
"""Width and height of one panel in an image file."""


@dataclass(frozen=True)
class Curves:
    """The curves of one contender of a comparison.

    Args:
        label: the settings in which it differs from the others.
        histories: the histories of its runs: one run, or one for each seed and fold.
    """

    label: str
    histories: tuple[History, ...]

    def points(self, score: str | None) -> list[list[tuple[int, float]]]:
        """Return the points by epoch of each log: of a validation score, or of the training loss (None)."""
        return [
            [(e.epoch, e.loss if score is None else e.scores[score]) for e in log.epochs if score in (None, *e.scores)]
            for log in self.histories
        ]


def select_panels(contenders: Sequence[Curves], score: str) -> list[str | None]:
    """Return the panels that have something to draw: None is the training loss, else a validation score."""
    available = {name for contender in contenders for log in contender.histories for name in log.scores()}
    panels: list[str | None] = [None, *dict.fromkeys(name for name in ("loss", score) if name in available)]
    return [panel for panel in panels if any(points for contender in contenders for points in contender.points(panel))]


def panel_title(panel: str | None) -> Message:
    """Return the title of a panel."""
    if panel is None:
        return Message("training loss")
    return Message("validation {score}", score=score_name(panel))


def plot_curves(axes: Axes, contenders: Sequence[Curves], panel: str | None) -> None:
    """Draw the curves by epoch; the runs of one contender share its color, with thin lines if there are several."""
    values: list[float] = []
    for number, contender in enumerate(contenders):
        runs = contender.points(panel)
        for i, points in enumerate(runs):
            ys = [_drawable(y) for _, y in points]
            values += ys
            axes.plot(
                [x for x, _ in points],
                ys,
                color=curve_color(number),
                linestyle=DASHES[number // len(COLORS) % len(DASHES)],
                marker=MARKERS[number % len(MARKERS)] if len(points) <= figures.MAX_MARKERS else "",
                markersize=3.5,
                linewidth=1.8 if len(runs) == 1 else 0.9,
                label=str(number + 1) if i == 0 else "_",
            )
    is_loss = panel is None or is_higher_better(panel) is False
    _label_axes(axes, translate(panel_title(panel)), log=is_loss and figures.spans_decades(values))


def _label_axes(axes: Axes, title: str, *, log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(title, loc="left", x=-0.1)
    axes.set_xlabel(translate(Message("epoch")))
    svg.label_counts(axes)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if log:
        svg.set_log_axis(axes, "y")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    if axes.get_legend_handles_labels()[1]:
        position = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.985), "ncols": 8}
        axes.legend(**position, handlelength=1.7, columnspacing=1.1, handletextpad=0.5, borderaxespad=0)
    svg.explain_empty(axes)


def _drawable(value: float) -> float:
    """Return the value, or NaN (a gap in the line) if no axis can show it."""
    return value if abs(value) < figures.MAX_DRAWABLE else math.nan


def curve_color(number: int) -> str:
    """Return the color of a contender's curves, counted from 0."""
    return COLORS[number % len(COLORS)]


def write_curves(path: Path, contenders: Sequence[Curves], score: str) -> None:
    """Write all panels side by side as one image, SVG or PNG by the file's ending.

    Args:
        path: the file.
        contenders: the curves to draw.
        score: the validation score that is drawn in addition to the losses.

    Raises:
        StorageError: the file cannot be written.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    from yisheng.reporting.run_figures.figure import drawing_boxes, use_fonts

    panels = select_panels(contenders, score)
    content = io.BytesIO()
    with matplotlib.rc_context(svg.matplotlib_style("compare")), drawing_boxes():
        figure = Figure(
            figsize=(PANEL_INCHES[0] * max(1, len(panels)), PANEL_INCHES[1] + 0.22 * len(contenders)), facecolor="white"
        )
        figure.set_layout_engine("constrained")
        subplots = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
        for axes, panel in zip(subplots, panels, strict=False):
            axes.tick_params(length=0, pad=5)
            plot_curves(axes, contenders, panel)
            if axes.get_legend() is not None:  # one legend for all panels is drawn below
                axes.get_legend().remove()
            axes.set_title(axes.get_title(loc="left"), loc="left", x=0)
        handles = subplots[0].get_legend_handles_labels()[0]
        labels = [f"{number}: {svg.clean_label(contender.label, 90)}" for number, contender in enumerate(contenders, 1)]
        figure.legend(handles, labels[: len(handles)], loc="outside lower left", ncols=1)
        use_fonts(figure)
        if path.suffix.lower() == ".svg":
            metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            FigureCanvasSVG(figure).print_svg(content, metadata=metadata)
        else:
            FigureCanvasAgg(figure).print_png(content, metadata={"Software": None})
    files.write_file(path, content.getvalue())
