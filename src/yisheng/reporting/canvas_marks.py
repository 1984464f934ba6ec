"""What is drawn on a `yisheng.reporting.canvas.Canvas`: lines, markers, bars and areas."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from yisheng.reporting.canvas_axis import CanvasAxis

POLYGONS = {
    "s": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "^": ((0, -1), (1, 1), (-1, 1)),
    "D": ((0, -1.41), (1.41, 0), (0, 1.41), (-1.41, 0)),
}
"""Corners of the markers of radius 1; ``o`` is a circle."""
LINE_WIDTH, MARKER_SIZE, EDGE_WIDTH = 1.8, 6.0, 1.0
LINE_ORDER, PATCH_ORDER = 2.0, 1.0


class Line:
    """A line, its markers, or both, in the style of `matplotlib.lines.Line2D`.

    Args:
        xs, ys: its points.
        style: color, linewidth, linestyle, marker, markersize, markeredgecolor, markeredgewidth, alpha, label, zorder.
    """

    def __init__(self, xs: Sequence[float], ys: Sequence[float], style: dict[str, Any]) -> None:
        self.points = list(zip(map(float, xs), map(float, ys), strict=True))
        self.style = style

    def get_ydata(self) -> list[float]:
        """Return the y values."""
        return [y for _, y in self.points]

    def set(self, **style: Any) -> None:
        """Change the style."""
        self.style |= style

    @property
    def dashes(self) -> str | tuple[int, tuple[float, ...]]:
        """Return the pattern of the line: ``-``, ``none``, or an offset and lengths in units of the line's width."""
        pattern: str | tuple[int, tuple[float, ...]] = self.style.get("linestyle", "-")
        return pattern


class Marks:
    """The marks of a chart.

    Args:
        name: prefix of every id.
        colors: function from a color to that of the page.
        x: the x axis.
        y: the y axis.
    """

    def __init__(self, name: str, colors: Callable[[str], str], x: CanvasAxis, y: CanvasAxis) -> None:
        self._name, self._colors, self._x, self._y = name, colors, x, y
        self._marks: list[tuple[float, Callable[[], str]]] = []
        self._entries: list[tuple[Any, str]] = []
        self._shapes: dict[tuple[str, float], str] = {}

    def add_line(self, xs: Sequence[float], ys: Sequence[float], form: str, style: dict[str, Any]) -> Line:
        """Add a line; ``form`` is matplotlib's short form: ``o`` for markers alone, ``o-`` for both."""
        if form:
            style = {"marker": form[:1], "linestyle": "-" if "-" in form else "none", **style}
        line = Line(xs, ys, style)
        finite = [(x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y)]
        self._x.include(x for x, _ in finite)
        self._y.include(y for _, y in finite)
        self._add(lambda: self._draw_line(line), line, style, LINE_ORDER)
        return line

    def add_bar(self, low: float, high: float, height: float, style: dict[str, Any]) -> None:
        """Add a bar from 0."""
        self._x.include([low, high])
        self._y.include([0, height], sticks_to_zero=True)

        def draw() -> str:
            x_low, x_high, y_low, y_high = *map(self._x.locate, (low, high)), *map(self._y.locate, (0, height))
            corners = [(x_low, y_low), (x_high, y_low), (x_high, y_high), (x_low, y_high)]
            return self._draw_area(corners, style)

        self._add(draw, "patch", style, PATCH_ORDER)

    def add_span(self, x: float | None, y: float | None, style: dict[str, Any]) -> None:
        """Add a line across the axes, at an x or a y."""
        self._x.include([] if x is None else [x])
        self._y.include([] if y is None else [y])
        line = Line([], [], style)

        def draw() -> str:
            xs = [self._x.locate(value) for value in (self._x.limits if x is None else (x, x))]
            ys = [self._y.locate(value) for value in (self._y.limits if y is None else (y, y))]
            return self._draw_stroke([list(zip(xs, ys, strict=True))], line)

        self._add(draw, line, style, LINE_ORDER)

    def add_area(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], style: dict[str, Any]) -> None:
        """Add the area between two lines."""
        outline = [*zip(xs, low, strict=True), *reversed(list(zip(xs, high, strict=True)))]
        self._x.include(x for x, _ in outline)
        self._y.include(y for _, y in outline)

        def draw() -> str:
            points = [(self._x.locate(x), self._y.locate(y)) for x, y in outline]
            if not points or not all(math.isfinite(x) and math.isfinite(y) for x, y in points):
                return ""
            return self._draw_area(points, style)

        self._add(draw, "patch", style, PATCH_ORDER)

    def _add(self, draw: Callable[[], str], handle: Any, style: dict[str, Any], order: float) -> None:
        self._marks.append((style.get("zorder", order), draw))
        label = style.get("label") or "_"
        if not label.startswith("_"):
            self._entries.append(((handle, style), label))

    def legend_entries(self) -> list[tuple[Any, str]]:
        """Return the marks with a label, and their labels."""
        return self._entries

    def render(self) -> str:
        """Return the marks as SVG, in their order, cut off at the edges of the axes."""
        drawn = "".join(draw() for _, draw in sorted(self._marks, key=lambda mark: mark[0]))
        (x_low, x_high), (y_low, y_high) = (sorted(map(axis.locate, axis.limits)) for axis in (self._x, self._y))
        clip = f"{self._name}-area"
        corners = [(x_low - 3, y_low - 3), (x_high + 3, y_low - 3), (x_high + 3, y_high + 3), (x_low - 3, y_high + 3)]
        return (
            f'<defs>{self._define_shapes()}<clipPath id="{clip}"><path d="{_outline(corners)}"/></clipPath></defs>'
            f'<g clip-path="url(#{clip})">{drawn}</g>'
        )

    def _define_shapes(self) -> str:
        """Return the markers that are drawn, in the legend too, so that thousands of dots do not repeat them."""
        for (handle, _), _ in self._entries:
            if isinstance(handle, Line):
                self._find_shape(handle)
        return "".join(_draw_shape(marker, radius, id) for (marker, radius), id in self._shapes.items())

    def _find_shape(self, line: Line) -> str:
        """Return the id of a line's marker; empty if it has none."""
        marker = line.style.get("marker") or ""
        if marker not in ("o", *POLYGONS):
            return ""
        key = marker, line.style.get("markersize", MARKER_SIZE) / 2
        return self._shapes.setdefault(key, f"{self._name}-marker{len(self._shapes)}")

    def _draw_line(self, line: Line) -> str:
        points = [(self._x.locate(x), self._y.locate(y)) for x, y in line.points]
        pieces: list[list[tuple[float, float]]] = [[]]
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                pieces[-1].append((x, y))
            elif pieces[-1]:
                pieces.append([])
        return self._draw_stroke(pieces, line) + self._draw_markers(
            [point for piece in pieces for point in piece], line
        )

    def _draw_stroke(self, pieces: Iterable[Sequence[tuple[float, float]]], line: Line) -> str:
        paths = [f"M {' L '.join(_point(x, y) for x, y in piece)}" for piece in pieces if len(piece) > 1]
        if not paths or line.dashes == "none":
            return ""
        width = line.style.get("linewidth", LINE_WIDTH)
        style: dict[str, object] = {"fill": "none", "stroke": self._colors(line.style["color"]), "stroke-width": width}
        if not isinstance(line.dashes, str):
            style["stroke-dasharray"] = ",".join(f"{length * width:g}" for length in line.dashes[1])
        return self._draw_path(" ".join(paths), {**style, **_opacity(line.style)})

    def _draw_markers(self, points: Sequence[tuple[float, float]], line: Line) -> str:
        shape = self._find_shape(line)
        if not shape or not points:
            return ""
        fill, edge = line.style["color"], line.style.get("markeredgecolor", line.style["color"])
        width = line.style.get("markeredgewidth", EDGE_WIDTH)
        style: dict[str, object] = {"fill": self._colors(fill)}
        if width:
            style |= {"stroke": self._colors(edge), "stroke-width": width}
        uses = "".join(f'<use href="#{shape}" x="{format_position(x)}" y="{format_position(y)}"/>' for x, y in points)
        return f'<g style="{style_text({**style, **_opacity(line.style)})}">{uses}</g>'

    def _draw_area(self, corners: Iterable[tuple[float, float]], style: dict[str, Any]) -> str:
        edge = style.get("edgecolor")
        stroke = {"stroke": self._colors(edge), "stroke-width": 1} if edge else {}
        css = {"fill": self._colors(style["color"]), **stroke, **_opacity(style)}
        return self._draw_path(_outline(corners), css)

    def _draw_path(self, path: str, style: dict[str, object]) -> str:
        return f'<path d="{path}" style="{style_text(style)}"/>'

    def draw_handle(self, entry: Any, x: float, y: float, length: float) -> str:
        """Return the mark of a legend's entry.

        Args:
            entry: of `legend_entries`.
            x: its left end.
            y: its middle.
            length: its width.
        """
        handle, style = entry
        if not isinstance(handle, Line):
            ends = x, x + length
            return self._draw_area(
                [(ends[0], y + 3.5), (ends[1], y + 3.5), (ends[1], y - 3.5), (ends[0], y - 3.5)], style
            )
        return self._draw_stroke([[(x, y), (x + length, y)]], handle) + self._draw_markers(
            [(x + length / 2, y)], handle
        )


def _draw_shape(marker: str, radius: float, id: str) -> str:
    if marker == "o":
        return f'<circle id="{id}" r="{radius:g}"/>'
    corners = " ".join(_point(radius * x, radius * y) for x, y in POLYGONS[marker])
    return f'<polygon id="{id}" points="{corners}"/>'


def style_text(style: dict[str, object]) -> str:
    """Return CSS.

    >>> style_text({"fill": "none", "stroke-width": 1.5})
    'fill: none; stroke-width: 1.5'
    """
    return "; ".join(f"{key}: {value}" for key, value in style.items())


def format_position(value: float) -> str:
    """Return a position with at most two decimal places.

    >>> format_position(12.3456), format_position(10.0)
    ('12.35', '10')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _outline(corners: Iterable[tuple[float, float]]) -> str:
    return f"M {' L '.join(_point(x, y) for x, y in corners)} Z"


def _point(x: float, y: float) -> str:
    return f"{format_position(x)} {format_position(y)}"


def _opacity(style: dict[str, Any]) -> dict[str, object]:
    return {"opacity": style["alpha"]} if "alpha" in style else {}
