"""Axes that write SVG themselves, for the charts of a report: importing matplotlib takes longer than drawing them.

`Canvas` has the methods of matplotlib's ``Axes`` that these charts use, with the same meaning; the same function paints
on both. Positions are in points, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from yisheng.reporting.canvas_axis import CanvasAxis
from yisheng.reporting.canvas_marks import Line, Marks, format_position, style_text

WIDTH, HEIGHT = 331.2, 216.0
LEFT_EDGE, RIGHT_EDGE, TOP_EDGE, BOTTOM_EDGE = 44.71, 324.58, 25.92, 183.6
"""Edges of the area between the axes."""
FONT_SIZES = {"medium": 10.0, "small": 8.33}
TICK_PADDING, TITLE_Y, LABEL_Y = 5.0, 16.9, 210.0
CHARACTER_WIDTH, WIDE_CHARACTER_WIDTH = 0.58, 1.05
"""Width of a character in a legend, in units of the font's size; the page's font is not known."""


class Canvas:
    """Axes of a chart.

    Args:
        name: prefix of every id.
        colors: function from a color to that of the page.
        text, muted, grid: colors of text, the axis and the grid.

    >>> canvas = Canvas("a", str, text="black", muted="gray", grid="silver")
    >>> (line,) = canvas.plot([0, 1], [0, 2], color="blue", label="twice")
    >>> canvas.set_title("y", loc="left")
    >>> canvas.get_ylim()
    (-0.1, 2.1)
    >>> "<svg" in canvas.render() and "twice" not in canvas.render()
    True
    """

    transAxes = "axes"  # noqa: N815  # matplotlib's name

    def __init__(self, name: str, colors: Callable[[str], str], *, text: str, muted: str, grid: str) -> None:
        self._colors, self._text, self._muted, self._grid = colors, text, muted, grid
        self.lines: list[Line] = []
        self.x, self.y = CanvasAxis(LEFT_EDGE, RIGHT_EDGE), CanvasAxis(BOTTOM_EDGE, TOP_EDGE)
        self._marks = Marks(name, colors, self.x, self.y)
        self._title = self._xlabel = ""
        self._texts: list[str] = []
        self._legend: dict[str, Any] | None = None
        self._rotation = 0.0

    def plot(self, xs: Sequence[float], ys: Sequence[float], form: str = "", **style: Any) -> list[Line]:
        """Draw a line, markers, or both; see `matplotlib.axes.Axes.plot`."""
        line = self._marks.add_line(xs, ys, form, style)
        self.lines.append(line)
        return [line]

    def bar(self, x: float, height: float, width: float = 0.8, *, align: str = "center", **style: Any) -> None:
        """Draw a bar from 0."""
        low = x - width / 2 if align == "center" else x
        self._marks.add_bar(low, low + width, height, style)

    def axhline(self, y: float, **style: Any) -> None:
        """Draw a line across the axes."""
        self._marks.add_span(None, y, style)

    def axvline(self, x: float, **style: Any) -> None:
        """Draw a line from the bottom to the top."""
        self._marks.add_span(x, None, style)

    def fill_between(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], **style: Any) -> None:
        """Fill the area between two lines."""
        self._marks.add_area(xs, low, high, style)

    def vlines(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], **style: Any) -> None:
        """Draw vertical lines."""
        for x, start, end in zip(xs, low, high, strict=True):
            self._marks.add_line([x, x], [start, end], "", style)

    def text(self, x: float, y: float, text: str, *, color: str, **_: Any) -> None:
        """Write a text centered at a fraction of the axes."""
        position = LEFT_EDGE + x * (RIGHT_EDGE - LEFT_EDGE), BOTTOM_EDGE + y * (TOP_EDGE - BOTTOM_EDGE) + 3.8
        self._texts.append(self._write(text, *position, "middle", color))

    def set_title(self, text: str, **_: Any) -> None:
        """Set the title, the label of the y axis."""
        self._title = text

    def set_xlabel(self, text: str) -> None:
        """Set the label of the x axis."""
        self._xlabel = text

    def set_xlim(self, low: float | None = None, high: float | None = None) -> None:
        """Set the limits of the x axis."""
        self.x.set_limits(low, high)

    def set_ylim(self, low: float | None = None, high: float | None = None) -> None:
        """Set the limits of the y axis."""
        self.y.set_limits(low, high)

    def get_xlim(self) -> tuple[float, float]:
        """Return the limits of the x axis."""
        return self.x.limits

    def get_ylim(self) -> tuple[float, float]:
        """Return the limits of the y axis."""
        return self.y.limits

    def set_xscale(self, scale: str, **_: Any) -> None:
        """Set the scale of the x axis: linear, log, or symlog, which is linear up to 10."""
        self.x.scale = scale

    def set_yscale(self, scale: str) -> None:
        """Set the scale of the y axis."""
        self.y.scale = scale

    def get_yscale(self) -> str:
        """Return the scale of the y axis."""
        return self.y.scale

    def set_xticks(self, positions: Sequence[float], labels: Sequence[str] | None = None) -> None:
        """Set the ticks of the x axis."""
        self.x.set_ticks(positions, labels)

    def set_yticks(self, positions: Sequence[float], labels: Sequence[str] | None = None) -> None:
        """Set the ticks of the y axis."""
        self.y.set_ticks(positions, labels)

    def tick_params(self, *, axis: str, labelrotation: float) -> None:
        """Turn the labels of the x axis."""
        assert axis == "x"
        self._rotation = labelrotation

    def get_legend_handles_labels(self) -> tuple[list[str], list[str]]:
        """Return the marks of the legend and their labels."""
        entries = self._marks.legend_entries()
        return [mark for mark, _ in entries], [label for _, label in entries]

    def legend(self, **options: Any) -> None:
        """Draw a legend at the right above the axes."""
        self._legend = options

    def render(self) -> str:
        """Return the SVG element."""
        marks = self._marks.render()  # determines the limits
        parts = [*self._draw_grid(), marks, *self._draw_labels(), *self._texts]
        if self._legend is not None:
            parts += self._draw_legend(self._legend)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" style="font-family: '
            f'var(--font, sans-serif); font-size: 10px; stroke-linejoin: round; stroke-linecap: butt">'
            f"{''.join(parts)}</svg>"
        )

    def _draw_grid(self) -> list[str]:
        vertical = [f"M {format_position(x)} {TOP_EDGE:g} V {BOTTOM_EDGE:g}" for x, _ in self.x.locate_ticks()]
        horizontal = [f"M {LEFT_EDGE:g} {format_position(y)} H {RIGHT_EDGE:g}" for y, _ in self.y.locate_ticks()]
        grid = style_text({"fill": "none", "stroke": self._colors(self._grid), "stroke-width": 0.7})
        spine = style_text({"stroke": self._colors(self._muted), "stroke-width": 0.8})
        return [
            f'<path d="{" ".join([*vertical, *horizontal])}" style="{grid}"/>' if vertical or horizontal else "",
            f'<path d="M {LEFT_EDGE:g} {BOTTOM_EDGE:g} H {RIGHT_EDGE:g}" style="{spine}"/>',
        ]

    def _draw_labels(self) -> list[str]:
        parts = []
        for x, label in self.x.locate_ticks():
            y, turn = BOTTOM_EDGE + TICK_PADDING + 7.6, self._rotation
            anchor, place = ("end", (x + 3, y)) if turn else ("middle", (x, y))
            parts.append(self._write(label, *place, anchor, self._text, turn=-turn))
        for y, label in self.y.locate_ticks():
            parts.append(self._write(label, LEFT_EDGE - TICK_PADDING, y + 3.6, "end", self._text))
        parts.append(self._write(self._xlabel, (LEFT_EDGE + RIGHT_EDGE) / 2, LABEL_Y, "middle", self._text))
        parts.append(self._write(self._title, LEFT_EDGE - 0.1 * (RIGHT_EDGE - LEFT_EDGE), TITLE_Y, "start", self._text))
        return parts

    def _draw_legend(self, options: dict[str, Any]) -> list[str]:
        """Return the legend, in columns from the left, as wide as their labels are estimated to be."""
        size = FONT_SIZES[options.get("fontsize", "medium")]
        handle, gap, space = (
            size * options.get(key, default)
            for key, default in (("handlelength", 2.0), ("handletextpad", 0.8), ("columnspacing", 2.0))
        )
        entries = self._marks.legend_entries()
        rows = math.ceil(len(entries) / options.get("ncols", 1)) or 1
        columns = [entries[start : start + rows] for start in range(0, len(entries), rows)]
        widths = [handle + gap + max(size * _text_width(label) for _, label in column) for column in columns]
        x = RIGHT_EDGE + 0.01 * (RIGHT_EDGE - LEFT_EDGE) - 0.4 * size - sum(widths) - space * (len(widths) - 1)
        parts = []
        for column, width in zip(columns, widths, strict=True):
            for row, (mark, label) in enumerate(column):
                y = TOP_EDGE - 4 - 1.4 * size * (len(column) - 1 - row)
                parts.append(self._marks.draw_handle(mark, x, y - 0.35 * size, handle))
                parts.append(self._write(label, x + handle + gap, y, "start", self._text, size=size))
            x += width + space
        return parts

    def _write(
        self, text: str, x: float, y: float, anchor: str, color: str, *, size: float = 10.0, turn: float = 0.0
    ) -> str:
        if not text:
            return ""
        style: dict[str, object] = {"fill": self._colors(color), "text-anchor": anchor}
        if size != 10.0:
            style["font-size"] = f"{size:g}px"
        x_text, y_text = format_position(x), format_position(y)
        rotation = f' transform="rotate({turn:g} {x_text} {y_text})"' if turn else ""
        return f'<text x="{x_text}" y="{y_text}" style="{style_text(style)}"{rotation}>{escape(text)}</text>'


def _text_width(text: Iterable[str]) -> float:
    return sum(WIDE_CHARACTER_WIDTH if char > "\u2e7f" else CHARACTER_WIDTH for char in text)
