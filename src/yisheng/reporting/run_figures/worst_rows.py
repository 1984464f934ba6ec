"""The rows of a table with the worst predictions, as a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from yisheng.core.messages import Message, translate
from yisheng.reporting.evaluation_schema import Mistake
from yisheng.reporting.formatting import decimal_places, format_number, format_percent, format_tick
from yisheng.reporting.run_figures.figure import (
    MARGIN,
    TITLE_HEIGHT,
    RunFigure,
    add_axes,
    make_figure,
    measure,
    place,
    shorten_to,
    styled,
    use_fonts,
)
from yisheng.reporting.section import format_label, format_targets
from yisheng.reporting.svg import BACKGROUND, FIRST_COLOR, MUTED, SECOND_COLOR, TEXT, clean_label

MAX_ROWS = 16
ROW_HEIGHT = 0.36
NAME_SIZE, VALUE_SIZE = 9, 8
MAX_NAME_WIDTH, MAX_VALUES_WIDTH = 2.6, 3.4
CHART_WIDTH = 3.6
COLUMN_GAP = 0.25
UNUSUAL = Message("most unusual values (typical)")
MARKERS = "osD^"
MAX_TARGETS = len(MARKERS)
"""Targets whose errors are drawn."""
AXIS_HEIGHT = 0.75
"""Inches below the rows for ticks, label and legend."""


def draw_worst_rows(
    mistakes: Sequence[Mistake], classes: tuple[str, ...], label: str, title: str, details: str
) -> RunFigure:
    """Return the rows with the worst predictions: true and predicted values, or the probabilities of both labels.

    Args:
        mistakes: the worst first, at least one.
        classes: names of the classes; empty for a regression.
        label: of the axis: the target with its unit, or ``probability``.
        title: of the figure.
        details: after the title.
    """
    rows = mistakes[:MAX_ROWS]
    notes = [_describe_labels(row, classes) if classes else _describe_error(row) for row in rows]
    return _draw(rows, notes, _draw_probabilities if classes else _draw_values, label, title, details)


def draw_worst_targets(
    mistakes: Sequence[Mistake], names: Sequence[str], deviations: Sequence[float], title: str, details: str
) -> RunFigure:
    """Return the rows with the worst predictions of several targets: the error of each, in its standard deviations.

    Args:
        mistakes: the worst first, at least one.
        names: of the targets.
        deviations: standard deviation of each target.
        title: of the figure.
        details: after the title.
    """
    rows = mistakes[:MAX_ROWS]
    notes = [format_targets(row.errors, names, [None] * len(names)) for row in rows]

    def paint(axes: Any, rows: Sequence[Mistake]) -> None:
        _draw_errors(axes, rows, names, deviations)

    label = Message("predicted − true, in standard deviations of the target")
    return _draw(rows, notes, paint, label, title, details)


def _draw(
    rows: Sequence[Mistake],
    notes: Sequence[str],
    paint: Callable[[Any, Sequence[Mistake]], None],
    label: str,
    title: str,
    details: str,
) -> RunFigure:
    """Return a figure with a line for each row: its name and note, what ``paint`` draws, its most unusual values."""
    names = [shorten_to(row.display_name, NAME_SIZE, MAX_NAME_WIDTH) for row in rows]
    notes = [shorten_to(note, VALUE_SIZE, MAX_NAME_WIDTH) for note in notes]
    unusual = [shorten_to(_describe_unusual(row), VALUE_SIZE, MAX_VALUES_WIDTH) for row in rows]
    name_width = max(*(measure(name, NAME_SIZE) for name in names), *(measure(note, VALUE_SIZE) for note in notes), 0.5)
    value_width = max(measure(text, VALUE_SIZE) for text in [*unusual, translate(UNUSUAL)]) if any(unusual) else 0.0
    with styled():
        width = name_width + CHART_WIDTH + 2 * COLUMN_GAP + value_width
        figure = make_figure(width, len(rows) * ROW_HEIGHT + AXIS_HEIGHT, title, details)
        x_offset = MARGIN + name_width + COLUMN_GAP
        axes = add_axes(figure, x_offset, MARGIN + TITLE_HEIGHT, CHART_WIDTH, len(rows) * ROW_HEIGHT)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks([])
        axes.tick_params(length=0, pad=4)
        paint(axes, rows)
        axes.set_xlabel(translate(label))
        if any(unusual):
            _write(
                figure,
                translate(UNUSUAL),
                x_offset + CHART_WIDTH + COLUMN_GAP,
                MARGIN + TITLE_HEIGHT - 0.04,
                VALUE_SIZE,
                TEXT,
                "left",
            )
        for number, (name, note, text) in enumerate(zip(names, notes, unusual, strict=True)):
            top = MARGIN + TITLE_HEIGHT + number * ROW_HEIGHT
            _write(figure, name, MARGIN + name_width, top + 0.17, NAME_SIZE, TEXT, "right")
            _write(figure, note, MARGIN + name_width, top + 0.31, VALUE_SIZE, MUTED, "right")
            _write(figure, text, x_offset + CHART_WIDTH + COLUMN_GAP, top + 0.24, VALUE_SIZE, MUTED, "left")
        use_fonts(figure)
    return figure


def _draw_values(axes: Any, rows: Sequence[Mistake]) -> None:
    """Draw true and predicted values as two dots with a line between them."""
    pairs = [(_to_number(row.true), _to_number(row.predicted)) for row in rows]
    positions = range(len(rows))
    axes.hlines(positions, [true for true, _ in pairs], [predicted for _, predicted in pairs], color=MUTED, linewidth=1)
    labels = translate(Message("true")), translate(Message("predicted"))
    (ring,) = axes.plot([true for true, _ in pairs], positions, "o", color=BACKGROUND, label=labels[0], markersize=7)
    ring.set(markeredgecolor=TEXT, markeredgewidth=1.4)
    axes.plot([predicted for _, predicted in pairs], positions, "o", color=SECOND_COLOR, label=labels[1])
    _format_ticks(axes)
    _add_legend(axes, len(rows))


def _draw_errors(axes: Any, rows: Sequence[Mistake], names: Sequence[str], deviations: Sequence[float]) -> None:
    """Draw the error of each target as a dot; targets differ in their marker, too."""
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    colors = (FIRST_COLOR, SECOND_COLOR, MUTED)
    for number, (name, deviation) in enumerate(zip(names[:MAX_TARGETS], deviations, strict=False)):
        errors = [row.errors[number] / deviation for row in rows]
        color = colors[number % len(colors)]
        axes.plot(errors, range(len(rows)), MARKERS[number], color=color, label=clean_label(name, 12), alpha=0.85)
    _format_ticks(axes)
    _add_legend(axes, len(rows), columns=MAX_TARGETS)


def _format_ticks(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))


def _draw_probabilities(axes: Any, rows: Sequence[Mistake]) -> None:
    """Draw the probabilities of the predicted and of the true label as two bars."""
    positions = range(len(rows))
    predicted = [row.probability or 0.0 for row in rows]
    true = [row.true_probability or 0.0 for row in rows]
    labels = translate(Message("predicted label")), translate(Message("true label"))
    axes.barh([n - 0.16 for n in positions], predicted, 0.28, color=SECOND_COLOR, label=labels[0])
    axes.barh([n + 0.16 for n in positions], true, 0.28, color=FIRST_COLOR, label=labels[1])
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    _add_legend(axes, len(rows))


def _add_legend(axes: Any, rows: int, columns: int = 2) -> None:
    """Add a legend below the axis label."""
    y = -0.48 / (rows * ROW_HEIGHT)
    axes.legend(loc="upper left", bbox_to_anchor=(0, y), ncols=columns, borderaxespad=0, handlelength=1.2, fontsize=9)


def _write(figure: RunFigure, text: str, x_offset: float, top: float, size: float, color: str, align: str) -> None:
    x, y = place(figure, x_offset, top)
    figure.text(x, y, text, fontsize=size, color=color, ha=align)


def _describe_labels(row: Mistake, classes: tuple[str, ...]) -> str:
    labels = f"{format_label(row.true, classes)} → {format_label(row.predicted, classes)}"
    return (
        labels
        if row.probability is None
        else translate(
            Message("{labels}, {probability} sure", labels=labels, probability=format_percent(row.probability))
        )
    )


def _describe_error(row: Mistake) -> str:
    error = _to_number(row.error)
    return translate(Message("error {error}", error=format_number(error, decimal_places(error / 10))))


def _describe_unusual(row: Mistake) -> str:
    return ", ".join(f"{item.column} {item.value} ({item.typical})" for item in row.unusual)


def _to_number(value: Any) -> float:
    """Return the value of a single target, 0 if it is missing."""
    value = value[0] if isinstance(value, list) and value else value
    return float(value or 0.0)
