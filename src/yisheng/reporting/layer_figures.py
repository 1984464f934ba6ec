"""Figures of the recorded quantities of the layers by step; the first and the last layer are highlighted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from yisheng.core.messages import Message, translate
from yisheng.reporting.figures import MAX_DRAWABLE
from yisheng.reporting.findings_schema import LayerCurve
from yisheng.reporting.formatting import format_tick
from yisheng.reporting.svg import FIRST_COLOR, MUTED, SECOND_COLOR, TEXT, Chart, format_ticks, set_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIN_DRAWABLE = 1e-30
"""Values that are not above this are a gap in the line on a log axis."""


def plot_layers_by_step(
    name: str,
    title: str,
    steps: Sequence[int],
    lines: Sequence[LayerCurve],
    threshold: float | LayerCurve | None,
    *,
    log: bool,
) -> Chart:
    """Draw a line for each layer.

    Args:
        name: id of the figure.
        title: the quantity on the y axis.
        steps: the recorded steps.
        lines: the layers' curves, from the first layer to the last.
        threshold: the value beyond which a check may report a finding, constant or by step; None draws no line.
        log: whether the y axis is logarithmic; otherwise it shows fractions from 0 to 1.
    """

    bounds = [threshold] if isinstance(threshold, LayerCurve) else []
    if threshold is not None and not isinstance(threshold, LayerCurve):
        bounds = [LayerCurve(name="", values=[threshold] * len(steps))]

    def paint(axes: Axes) -> None:
        axes.set_yscale("log" if log else "linear")
        axes.set_ylim(*_limits([*lines, *bounds], log))
        for line in lines[1:-1]:
            axes.plot(steps, _drawable(line, log), color=MUTED, alpha=0.6, linewidth=0.8)
        if len(lines) > 2:
            axes.plot([], [], color=MUTED, alpha=0.6, linewidth=0.8, label=translate(Message("between")))
        if len(lines) > 1:
            label = translate(Message("last layer"))
            axes.plot(steps, _drawable(lines[-1], log), color=SECOND_COLOR, linestyle=(0, (4, 1.5)), label=label)
        label = translate(Message("first layer") if len(lines) > 1 else Message("layer"))
        axes.plot(steps, _drawable(lines[0], log), color=FIRST_COLOR, label=label)
        for line in bounds:
            label = translate(Message("threshold"))
            axes.plot(steps, _drawable(line, log), color=TEXT, linewidth=1, linestyle=(0, (1, 2)), label=label)
        axes.set_xscale("symlog", linthresh=10)
        _label_axes(axes, title)

    return Chart(name, paint, on_canvas=True)


def _limits(lines: Sequence[LayerCurve], log: bool) -> tuple[float, float]:
    """Return the limits of the y axis: the range of all drawn values, with a margin."""
    values = [value for line in lines for value in _drawable(line, log) if not math.isnan(value)]
    return (min(values, default=1.0) / 3, max(values, default=1.0) * 3) if log else (-0.02, 1.05)


def _label_axes(axes: Axes, title: str) -> None:
    axes.set_title(translate(title), loc="left", x=-0.1)
    axes.set_xlabel(translate(Message("step")))
    axes.set_xlim(0)
    ticks = [0, 10, 100, 1000, 10_000, 100_000, 1_000_000]
    last_step = axes.get_xlim()[1]
    axes.set_xticks([tick for tick in ticks if tick <= last_step])
    format_ticks(axes, "x", format_tick)
    if axes.get_yscale() == "log":
        format_ticks(axes, "y", lambda value: f"{value:.0e}".replace("e-0", "e-"))
    else:
        set_ticks(axes, "y", 5, format=lambda value: f"{value:.0%}")
    position = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.985), "ncols": 4}
    axes.legend(**position, handlelength=1.1, columnspacing=0.6, handletextpad=0.3, borderaxespad=0, fontsize="small")


def _drawable(line: LayerCurve, log: bool) -> list[float]:
    """Return the values, with NaN (a gap) where the axis cannot show them."""
    minimum = MIN_DRAWABLE if log else -1.0
    return [value if value is not None and minimum < value < MAX_DRAWABLE else math.nan for value in line.values]
