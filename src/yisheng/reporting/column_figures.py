"""Figures of the effect of a column on the predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from yisheng.core.messages import Message, translate
from yisheng.reporting.evaluation_schema import ColumnEffect
from yisheng.reporting.svg import FIRST_COLOR, MUTED, SECOND_COLOR, Chart, clean_label, explain_empty, set_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = (
    (FIRST_COLOR, "-", "o"),
    (SECOND_COLOR, (0, (4, 1.5)), "s"),
    (MUTED, (0, (1, 1.5)), "^"),
    (FIRST_COLOR, (0, (6, 2, 1, 2)), "D"),
)
"""Color, line and marker of each output."""
MAX_TICK_LENGTH = 10


def plot_dependence(effect: ColumnEffect, unit: str = "") -> Chart:
    """Draw the mean prediction by the value of a column, and the range of 80% of the rows if there is one output.

    Args:
        effect: the predictions.
        unit: of the predictions.
    """

    def paint(axes: Axes) -> None:
        numbers = [value for value in effect.values if isinstance(value, float)]
        is_number = effect.is_number and len(numbers) == len(effect.values)
        xs = numbers if is_number else list(map(float, range(len(effect.values))))
        for output, (color, line, marker) in zip(effect.outputs, STYLES, strict=False):
            style = line if is_number else "none"
            label = clean_label(output.name, 20) if len(effect.outputs) > 1 else "_"
            axes.plot(xs, output.mean, color=color, linestyle=style, marker=marker, markersize=4, label=label)
            if len(effect.outputs) == 1 and is_number:
                axes.fill_between(xs, output.low, output.high, color=color, alpha=0.15, linewidth=0)
            elif len(effect.outputs) == 1:
                axes.vlines(xs, output.low, output.high, color=color, alpha=0.35, linewidth=2)
        name = translate(Message("prediction")) if len(effect.outputs) > 1 else clean_label(effect.outputs[0].name, 20)
        axes.set_title(f"{name} ({clean_label(unit, 20)})" if unit.strip() else name, loc="left", x=-0.1)
        axes.set_xlabel(clean_label(effect.column, 40))
        set_ticks(axes, "y", 5)
        if is_number:
            set_ticks(axes, "x", 6)
        else:
            axes.set_xticks(xs, [clean_label(str(value), MAX_TICK_LENGTH) for value in effect.values])
            if len(xs) > math.ceil(60 / MAX_TICK_LENGTH):
                axes.tick_params(axis="x", labelrotation=40)
        if len(effect.outputs) > 1:
            axes.legend(loc="lower right", bbox_to_anchor=(1.01, 0.985), ncols=2, borderaxespad=0)
        explain_empty(axes)

    return Chart("dependence", paint, on_canvas=True)
