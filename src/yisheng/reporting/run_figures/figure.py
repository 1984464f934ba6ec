"""A matplotlib figure without pyplot: a notebook shows it by itself, and names of any script have a font."""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from yisheng.core import files
from yisheng.core.errors import UsageError
from yisheng.core.fonts import DEFAULT_FONT, find_font_path
from yisheng.core.messages import Message, translate
from yisheng.reporting.svg import HEIGHT, MUTED, TEXT, WIDTH, Chart, clean_label, matplotlib_style

FORMATS = ("png", "svg", "pdf")
DPI = 100
FILE_DPI = 150
MARGIN = 0.2
TITLE_HEIGHT = 0.5
"""Inches around a figure, and above it for its title."""
PANEL = (0.135, 0.15, 0.845, 0.73)
"""Where the axes of a chart are in its panel, as in a report: left, bottom, width, height."""
GUTTER = 0.2
"""Inches between neighboring charts."""
MAX_COLUMNS = 3
TITLE_SIZE, DETAILS_SIZE = 12, 9.5
SLACK = 1.04
"""At other resolutions fonts are hinted differently."""


class RunFigure(Figure):
    """A figure of a run. It belongs to no window and no global state; a notebook shows it as the value of a cell."""

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """Save the figure as `matplotlib.figure.Figure.savefig` does; a missing character is drawn as a box."""
        with drawing_boxes():
            super().savefig(*args, **kwargs)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the figure at twice the size at which a notebook shows it, for sharp screens."""
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=2 * DPI)
        width, height = self.get_size_inches()
        return content.getvalue(), {"width": round(width * DPI), "height": round(height * DPI)}


def make_figure(width: float, height: float, title: str, details: str = "") -> RunFigure:
    """Return an empty figure with a title.

    Args:
        width: of its content, in inches.
        height: of its content, in inches; the title comes on top of it.
        title: at the top left.
        details: muted, after the title.
    """
    title, details = clean_label(title, 60), clean_label(translate(details), 120)
    title_width = measure(title, TITLE_SIZE, bold=True) + 0.2
    inner = max(width, title_width + measure(details, DETAILS_SIZE))
    figure = RunFigure(figsize=(inner + 2 * MARGIN, height + TITLE_HEIGHT + 2 * MARGIN), dpi=DPI, facecolor="white")
    x, y = place(figure, MARGIN, MARGIN + 0.22)
    figure.text(x, y, title, fontsize=TITLE_SIZE, color=TEXT, fontweight="bold")
    x, _ = place(figure, MARGIN + title_width, 0)
    figure.text(x, y, details, fontsize=DETAILS_SIZE, color=MUTED)
    return figure


def draw_panels(charts: Sequence[Chart], title: str, details: str = "") -> RunFigure:
    """Return charts side by side, at most `MAX_COLUMNS` in a row."""
    columns = len(charts) if len(charts) <= MAX_COLUMNS else 2 if len(charts) == 4 else MAX_COLUMNS
    rows = math.ceil(len(charts) / columns)
    with styled():
        figure = make_figure(columns * (WIDTH + GUTTER) - GUTTER, rows * HEIGHT, title, details)
        for number, chart in enumerate(charts):
            x_offset = MARGIN + number % columns * (WIDTH + GUTTER)
            top = MARGIN + TITLE_HEIGHT + number // columns * HEIGHT
            axes = add_axes(
                figure,
                x_offset + PANEL[0] * WIDTH,
                top + (1 - PANEL[1] - PANEL[3]) * HEIGHT,
                PANEL[2] * WIDTH,
                PANEL[3] * HEIGHT,
            )
            axes.tick_params(length=0, pad=5)
            chart.paint(axes)
        use_fonts(figure)
    return figure


def add_axes(figure: RunFigure, x_offset: float, top: float, width: float, height: float) -> Any:
    """Return new axes at a place in inches from the top left corner."""
    full_width, full_height = figure.get_size_inches()
    return figure.add_axes(
        (x_offset / full_width, 1 - (top + height) / full_height, width / full_width, height / full_height)
    )


def place(figure: RunFigure, x_offset: float, top: float) -> tuple[float, float]:
    """Return a point in inches from the top left corner in the figure's own coordinates."""
    width, height = figure.get_size_inches()
    return x_offset / width, 1 - top / height


def measure(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a text in inches, as matplotlib draws it.

    Args:
        text: on one line.
        size: of the font, in points.
        bold: whether it is drawn in bold.
    """
    if not text:
        return 0.0
    with drawing_boxes():
        width, _, _ = _get_renderer().get_text_width_height_descent(text, _choose_font(text, size, bold=bold), False)
    return SLACK * float(width) / DPI


def shorten_to(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """Return a text that is cut at its end to a width in inches.

    >>> shorten_to("a very long name of a class", 10, 1.0)
    'a very long…'
    """
    text = clean_label(text, 200)
    if measure(text, size, bold=bold) <= width:
        return text
    prefix = text
    while len(prefix) > 1 and measure(prefix.rstrip() + "…", size, bold=bold) > width:
        prefix = prefix[:-1]
    return prefix.rstrip() + "…"


def use_fonts(figure: Figure) -> None:
    """Give every text of a figure a font that has its characters."""
    for axes in figure.axes:
        axes.get_xticklabels()  # the texts of the ticks are made when they are asked for
        axes.get_yticklabels()
    for text in figure.findobj(Text):
        path = find_font_path(text.get_text())
        if Path(path).name != DEFAULT_FONT:
            properties: FontProperties = text.get_fontproperties().copy()
            properties.set_file(path)
            text.set_fontproperties(properties)


@contextmanager
def styled() -> Iterator[None]:
    """Draw with the style of the reports, independent of the user's settings."""
    with matplotlib.rc_context({**matplotlib_style("figure"), "axes.facecolor": "white"}):
        yield


def save_figure(figure: RunFigure, path: Path) -> Path:
    """Write a figure as .png, .svg or .pdf; return the path.

    Raises:
        UsageError: the file has another ending.
        StorageError: the file cannot be written; an existing one is unchanged.
    """
    form = require_format(path)
    content = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}.get(form, {"Software": None})
    with styled():
        figure.savefig(content, format=form, dpi=FILE_DPI, metadata=metadata)
    files.write_file(path, content.getvalue())
    return path


def require_format(path: Path) -> str:
    """Return the format that a file's ending asks for.

    Raises:
        UsageError: it is not an ending of `FORMATS`.

    >>> require_format(Path("curves.PNG"))
    'png'
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UsageError(
            Message("a figure ends in .png, .svg or .pdf, got {path}", path=path),
            Message("use out={stem}.png", stem=path.stem or "figure"),
        )
    return form


@functools.cache
def _get_renderer() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)


@functools.lru_cache(maxsize=1024)
def _choose_font(text: str, size: float, *, bold: bool) -> FontProperties:
    path = find_font_path(text)
    if Path(path).name != DEFAULT_FONT:
        return FontProperties(fname=path, size=size)
    return FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")


@contextmanager
def drawing_boxes() -> Iterator[None]:
    """Draw boxes for characters that no font has, without matplotlib's warnings: `find_font_path` has given one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph|Matplotlib currently does not support", UserWarning)
        yield
