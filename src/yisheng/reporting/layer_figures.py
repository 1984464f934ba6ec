"""Figures of what the doctor saw of the layers, by step: the first, the last, and those between as a band of lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from yisheng.reporting.figures import LARGEST
from yisheng.reporting.findings_schema import Line
from yisheng.reporting.formatting import short
from yisheng.reporting.svg import FIRST, INK, MUTED, SECOND, draw, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST = 1e-30
"""What is not above it is a gap on a log axis."""


def by_step(
    name: str, up: str, steps: Sequence[int], lines: Sequence[Line], threshold: float | Line | None, *, log: bool
) -> str:
    """One line a layer.

    Args:
        name: of the figure.
        up: what the upright axis shows.
        steps: that were looked at.
        lines: from the first layer to the last.
        threshold: where a check begins to speak, of all steps or by step; None draws none.
        log: on a log axis, as what spans many powers of ten; else from 0 to 1.
    """

    bounds = [threshold] if isinstance(threshold, Line) else []
    if threshold is not None and not isinstance(threshold, Line):
        bounds = [Line(name="", values=[threshold] * len(steps))]

    def paint(axes: Axes) -> None:
        axes.set_yscale("log" if log else "linear")
        axes.set_ylim(*_limits([*lines, *bounds], log))
        for one in lines[1:-1]:
            axes.plot(steps, _drawable(one, log), color=MUTED, alpha=0.6, linewidth=0.8)
        if len(lines) > 2:
            axes.plot([], [], color=MUTED, alpha=0.6, linewidth=0.8, label="between")
        if len(lines) > 1:
            axes.plot(steps, _drawable(lines[-1], log), color=SECOND, linestyle=(0, (4, 1.5)), label="last layer")
        axes.plot(steps, _drawable(lines[0], log), color=FIRST, label="first layer" if len(lines) > 1 else "layer")
        for one in bounds:
            axes.plot(steps, _drawable(one, log), color=INK, linewidth=1, linestyle=(0, (1, 2)), label="threshold")
        axes.set_xscale("symlog", linthresh=10)
        _finish(axes, up)

    return draw(name, paint)


def _limits(lines: Sequence[Line], log: bool) -> tuple[float, float]:
    """The ends of the upright axis: all that is drawn, with some kind."""
    found = [value for line in lines for value in _drawable(line, log) if not math.isnan(value)]
    return (min(found, default=1.0) / 3, max(found, default=1.0) * 3) if log else (-0.02, 1.05)


def _finish(axes: Axes, up: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    axes.set_title(label(up), loc="left", x=-0.1)
    axes.set_xlabel("step")
    axes.set_xlim(left=0)
    marks = [0, 10, 100, 1000, 10_000, 100_000, 1_000_000]
    most = axes.get_xlim()[1]
    axes.set_xticks([mark for mark in marks if mark <= most])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    if axes.get_yscale() == "log":
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-")))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    place = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.985), "ncols": 4}
    axes.legend(**place, handlelength=1.4, columnspacing=0.8, handletextpad=0.4, borderaxespad=0, fontsize="small")


def _drawable(line: Line, log: bool) -> list[float]:
    """The values; NaN, a gap, for what the axis cannot hold."""
    least = SMALLEST if log else -1.0
    return [value if value is not None and least < value < LARGEST else math.nan for value in line.values]
