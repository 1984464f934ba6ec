"""Figures as SVG text, colored by the page that contains them; drawn without matplotlib where their charts allow it.

Every color is a CSS variable with the light color as its fallback, so a figure fits a light page, a dark page and
paper. Text is not converted to paths and uses the page's font.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree

from yisheng.core.messages import Message, translate
from yisheng.reporting.canvas import Canvas
from yisheng.reporting.formatting import format_tick, replace_unprintable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT, MUTED, GRID, BACKGROUND = "#1b2026", "#57606b", "#d4dae0", "#fffffe"
FIRST_COLOR, SECOND_COLOR = "#0072b2", "#c65102"
"""Blue and vermillion, which color-blind readers can distinguish (Okabe and Ito, "Color universal design", 2008)."""
VARIABLES = {
    TEXT: "text",
    MUTED: "muted",
    GRID: "line",
    BACKGROUND: "paper",
    FIRST_COLOR: "first",
    SECOND_COLOR: "second",
}
WIDTH, HEIGHT = 4.6, 3.0
NAMESPACE = "http://www.w3.org/2000/svg"

_DIGITS = re.compile(r"(\.\d\d)\d+")
_COLOR = re.compile("|".join(VARIABLES))
_LINK = re.compile(r"#(?=\w)")


@dataclass(frozen=True)
class Chart:
    """One chart: its text is SVG for a page, and ``paint`` draws it on the axes of any matplotlib figure.

    Args:
        name: prefix of every id in the SVG, so that one page can contain several charts.
        paint: draws on empty axes.
        on_canvas: whether it needs no more than a `yisheng.reporting.canvas.Canvas`; its page is then drawn without
            matplotlib, whose import takes longer than the drawing.
    """

    name: str
    paint: Callable[[Axes], None]
    on_canvas: bool = False

    def __str__(self) -> str:
        return draw_svg(self.name, self.paint, on_canvas=self.on_canvas)


def draw_svg(name: str, paint: Callable[[Axes], None], *, on_canvas: bool = False) -> str:
    """Return an SVG element, which is also a complete SVG file.

    Args:
        name: prefix of every id in the figure, so that one page can contain several figures.
        paint: draws on empty axes.
        on_canvas: whether it is drawn without matplotlib.
    """
    if on_canvas:
        canvas = Canvas(name, page_color, text=TEXT, muted=MUTED, grid=GRID)
        paint(canvas)  # type: ignore[arg-type]  # it has the methods that such charts use
        return canvas.render()
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    content = io.StringIO()
    with matplotlib.rc_context(matplotlib_style(name)), warnings.catch_warnings():
        # Matplotlib's font, which measures the text, may lack characters that the browser's fonts have.
        warnings.filterwarnings("ignore", "Glyph|Matplotlib currently does not support", UserWarning)
        figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="none")
        # Fixed margins take half the time of a fitted layout, and neighboring figures are aligned.
        axes = figure.add_axes((0.135, 0.15, 0.845, 0.73))
        axes.tick_params(length=0, pad=5)
        paint(axes)
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(content, metadata=metadata)
    return _clean_svg(content.getvalue(), name)


def page_color(color: str) -> str:
    """Return a color as CSS: that of the page, where it has one for it.

    >>> page_color(FIRST_COLOR), page_color("#009e73")
    ('var(--first, #0072b2)', '#009e73')
    """
    return f"var(--{VARIABLES[color]}, {color})" if color in VARIABLES else color


def set_ticks(
    axes: Axes, direction: str, count: int, *, integer: bool = False, format: Callable[[float], str] = format_tick
) -> None:
    """Give an axis round ticks.

    Args:
        axes: of matplotlib, or a `Canvas`.
        direction: ``x`` or ``y``.
        count: of intervals between the ticks, at most.
        integer: whether they are whole numbers.
        format: function from a value to the tick's label.
    """
    if isinstance(axes, Canvas):
        axis = axes.x if direction == "x" else axes.y
        axis.tick_count, axis.has_integer_ticks, axis.format = count, integer, format
        return
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.xaxis if direction == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(count, integer=integer))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format(value)))


def format_ticks(axes: Axes, direction: str, format: Callable[[float], str]) -> None:
    """Give the ticks of an axis other labels, and no minor ticks between them."""
    if isinstance(axes, Canvas):
        (axes.x if direction == "x" else axes.y).format = format
        return
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis = axes.xaxis if direction == "x" else axes.yaxis
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: format(value)))


def set_log_axis(axes: Axes, direction: str) -> None:
    """Make an axis logarithmic, ``x`` or ``y``, with ticks that fit its range."""
    (axes.set_yscale if direction == "y" else axes.set_xscale)("log")
    if isinstance(axes, Canvas):
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = axes.yaxis if direction == "y" else axes.xaxis
    low, high = axes.get_ylim() if direction == "y" else axes.get_xlim()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if math.log10(high / low) < 2.5 else (1,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)


def label_counts(axes: Axes) -> None:
    """Give the x axis ticks at whole numbers, epochs or steps; a single one is in the middle."""
    low, high = axes.get_xlim()
    set_ticks(axes, "x", 6, integer=True)
    if high - low < 1:
        count = round((low + high) / 2)
        axes.set_xlim(count - 0.5, count + 0.5)
        axes.set_xticks([count])


def explain_empty(axes: Axes) -> None:
    """Say that no value is finite if none of the lines has a visible point."""
    values = [float(y) for line in axes.lines for y in cast("Any", line.get_ydata())]
    if not axes.lines or any(map(math.isfinite, values)):
        return
    text = translate(Message("no value is finite"))
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_xticks([])
    axes.set_yticks([])


def clean_label(text: str, longest: int = 40) -> str:
    """Return a name for use in a figure: on one line, of limited length, without characters that XML forbids.

    >>> clean_label("living\\narea", 8)
    'living …'
    """
    text = " ".join(replace_unprintable(text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def matplotlib_style(name: str) -> dict[str, Any]:
    """Return matplotlib's default settings with those of the report, independent of the user's style."""
    from matplotlib import rcParamsDefault

    kinds = ("axes", "xtick", "ytick", "lines", "grid", "legend", "font", "text", "markers", "patch", "svg", "path")
    defaults = {key: value for key, value in dict.items(rcParamsDefault) if key.startswith(kinds)}
    overrides = {
        "axes.axisbelow": True,
        "axes.edgecolor": MUTED,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": TEXT,
        "axes.linewidth": 0.8,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": "medium",
        "axes.titlepad": 9,
        "font.family": ["DejaVu Sans"],
        "font.size": 10,
        "grid.color": GRID,
        "grid.linewidth": 0.7,
        "legend.fontsize": "medium",
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.color": TEXT,
        "text.parse_math": False,
        "xtick.labelcolor": TEXT,
        "ytick.labelcolor": TEXT,
    }
    return {**defaults, **overrides}


def _clean_svg(text: str, name: str) -> str:
    """Return matplotlib's SVG with unique ids, the page's colors and font, and two decimal places."""
    root = ElementTree.fromstring(text)  # trusted: written by matplotlib
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text = (element.text or "").strip() if element.tag != "text" else element.text
        element.tail = None
        element.attrib = {key.rpartition("}")[2]: _rewrite_attribute(value, name) for key, value in element.items()}
        if element.tag in ("g", "svg"):
            element.attrib.pop("id", None)
        elif "id" in element.attrib:
            element.set("id", f"{name}-{element.attrib['id']}")
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
    for group in root.iter("g"):
        _share_style(group)
    size = (root.attrib[side].removesuffix("pt") for side in ("width", "height"))
    root.attrib = {
        "xmlns": NAMESPACE,
        "viewBox": f"0 0 {' '.join(size)}",
        "style": "font-family: var(--font, sans-serif); stroke-linejoin: round; stroke-linecap: butt",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite_attribute(value: str, name: str) -> str:
    """Return an attribute's value with the page's colors and font, unique ids and two decimal places."""
    value = value.replace("font-family: 'DejaVu Sans'; ", "")
    value = _COLOR.sub(lambda match: page_color(match[0]), value)
    if value.startswith(("#", "url(#")):
        value = _LINK.sub(f"#{name}-", value)
    return _DIGITS.sub(r"\1", value)


def _share_style(group: ElementTree.Element) -> None:
    """Move a style that all children share to their group, so that thousands of dots do not repeat it."""
    styles = {child.get("style") for child in group}
    if len(group) > 1 and len(styles) == 1 and None not in styles and "style" not in group.attrib:
        group.set("style", str(styles.pop()))
        for child in group:
            del child.attrib["style"]
