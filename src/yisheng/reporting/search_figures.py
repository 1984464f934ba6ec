"""Figures of a search drawn by matplotlib: the score by each parameter, and the best trials' loss curves."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from yisheng.reporting.figures import spans_decades
from yisheng.reporting.formatting import format_tick, score_name
from yisheng.reporting.search_facts import (
    MAX_SCORE,
    Axis,
    Search,
    Trial,
    categories,
    coordinate,
    format_value,
    score_window,
)
from yisheng.reporting.svg import BACKGROUND, FIRST_COLOR, MUTED, SECOND_COLOR, TEXT, Chart, clean_label, label_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_DOTS = 400
MAX_ERROR_BARS = 80
"""With more trials, no standard deviations are drawn."""
MAX_BAR_REACH = 0.5
"""Error bars extend the range of the scores by at most this fraction of it, on both sides."""
Bar = tuple[float, float, float]
"""Position, lower and upper end of an error bar."""
MAX_NAMED_CATEGORIES = 8
"""With more alternatives of a choice, only some of them are named on the axis."""
CURVE_STYLES = (
    (FIRST_COLOR, "-", "o"),
    (SECOND_COLOR, (0, (4, 1.5)), "s"),
    (TEXT, (0, (1, 1.2)), "^"),
    (MUTED, "-", "D"),
)
"""Color, dash and marker of each curve."""


def plot_score_by_parameter(search: Search, axis: Axis, number: int) -> Chart:
    """Draw the score of each trial against one parameter; the best and the chosen trial are marked.

    Args:
        search: a search with at least one score.
        axis: the parameter.
        number: number of the figure, for its id.
    """

    def paint(axes: Axes) -> None:
        trials = [t for t in search.sample_trials(MAX_DOTS) if axis.name in t.setting]
        positions = _x_positions(axis, search, trials)
        low, high = score_window([t.score for t in search.ranked], higher=search.higher)
        max_epochs = max((t.epochs or 0 for t in trials), default=0) if search.has_rungs else 0
        with_sd = [t for t in trials if t.known_sd and len(trials) <= MAX_ERROR_BARS]
        bars = [(positions[t.number], t.score - t.known_sd, t.score + t.known_sd) for t in with_sd]
        is_log = not search.higher and spans_decades([low, high])
        limits = _extend_for_bars(low, high, bars, log=is_log)
        _draw_error_bars(axes, bars, limits)
        marker_size = 4.5 if len(trials) <= MAX_ERROR_BARS else 3
        for color, group in (
            (MUTED, [t for t in trials if (t.epochs or 0) < max_epochs]),
            (FIRST_COLOR, [t for t in trials if (t.epochs or 0) >= max_epochs]),
        ):
            inside = [t for t in group if low <= t.score <= high]
            beyond = [t for t in group if not low <= t.score <= high]
            xs, ys = [positions[t.number] for t in inside], [t.score for t in inside]
            axes.plot(xs, ys, "o", color=color, alpha=0.6, markersize=marker_size, mew=0)
            edge = low if search.higher else high
            axes.plot([positions[t.number] for t in beyond], [edge] * len(beyond), "x", color=color, markersize=4)
        _mark_trial(axes, positions, search.best_trial, "o", "best", (low, high))
        if search.chosen_trial is not search.best_trial:
            _mark_trial(axes, positions, search.chosen_trial, "s", "chosen", (low, high))
        _label_axes(axes, score_name(search.score))
        _label_x_axis(axes, axis, search, list(positions.values()))
        if is_log:
            _set_log_axis(axes, "y", *limits)
        elif limits[1] > limits[0]:
            margin = 0.06 * (limits[1] - limits[0])
            axes.set_ylim(limits[0] - margin, limits[1] + margin)

    return Chart(f"parameter-{number}", paint)


def select_curves(search: Search) -> list[Trial]:
    """Return the trials whose curves are drawn: the best, the chosen one, then others by their score."""
    with_curve = [t for t in search.ranked if len(t.curve) > 1]
    selected = [t for t in (search.best_trial, search.chosen_trial) if t in with_curve]
    return list({t.number: t for t in [*selected, *with_curve]}.values())[: len(CURVE_STYLES)]


def plot_training_loss(trials: Sequence[Trial]) -> Chart:
    """Draw the training loss by epoch, a line per trial (at most as many as `CURVE_STYLES`)."""

    def paint(axes: Axes) -> None:
        losses: list[float] = []
        for trial, (color, dash, marker) in zip(trials, CURVE_STYLES, strict=False):
            ys = [_drawable(loss) for loss in trial.curve]
            losses += ys
            marker_interval = max(1, len(ys) // 12)
            (line,) = axes.plot(range(1, len(ys) + 1), ys, color=color, label=f"trial {trial.number}")
            line.set(linestyle=dash, marker=marker, markevery=marker_interval, markersize=3.5)
        _label_axes(axes, "training loss")
        axes.set_xlabel("epoch")
        label_counts(axes)
        finite = [y for y in losses if math.isfinite(y)]
        if spans_decades(finite):
            _set_log_axis(axes, "y", min(finite), max(finite))

    return Chart("curves", paint)


def _x_positions(axis: Axis, search: Search, trials: Sequence[Trial]) -> dict[int, float]:
    """Return the x position of each trial by its number; trials of one category are next to each other."""
    if axis.kind != "choice":
        return {t.number: coordinate(axis, t.setting[axis.name]) for t in trials}
    names = categories(axis, search.ranked)
    positions: dict[int, float] = {}
    for i, name in enumerate(names):
        group = [t for t in trials if format_value(t.setting[axis.name]) == name]
        for k, trial in enumerate(sorted(group, key=lambda t: t.number)):
            positions[trial.number] = i + (0.0 if len(group) == 1 else 0.5 * k / (len(group) - 1) - 0.25)
    return positions


def _extend_for_bars(low: float, high: float, bars: Sequence[Bar], *, log: bool) -> tuple[float, float]:
    """Return the limits of the scores, wider for error bars, but not so wide that long ones would flatten the dots.

    Args:
        low: smallest score.
        high: largest score.
        bars: x, lower and upper end of each error bar.
        log: whether the axis is logarithmic.
    """
    if log:
        reach = (high / low) ** MAX_BAR_REACH
        bottom, top = low / reach, high * reach
    else:
        reach = MAX_BAR_REACH * (high - low) or max((end - start for _, start, end in bars), default=0.0)
        bottom, top = low - reach, high + reach
    starts, ends = [low, *(start for _, start, _ in bars)], [high, *(end for _, _, end in bars)]
    return max(min(starts), bottom), min(max(ends), top)


def _draw_error_bars(axes: Axes, bars: Sequence[Bar], limits: tuple[float, float]) -> None:
    """Draw error bars within limits; a triangle says that a bar is longer."""
    bottom, top = limits
    xs = [x for x, _, _ in bars]
    starts, ends = [max(start, bottom) for _, start, _ in bars], [min(end, top) for _, _, end in bars]
    axes.vlines(xs, starts, ends, color=MUTED, linewidth=0.9, alpha=0.6)
    for edge, marker, cut in (
        (bottom, "v", [x for x, start, _ in bars if start < bottom]),
        (top, "^", [x for x, _, end in bars if end > top]),
    ):
        axes.plot(cut, [edge] * len(cut), marker, color=MUTED, markersize=4, mew=0)


def _label_x_axis(axes: Axes, axis: Axis, search: Search, positions: Sequence[float]) -> None:
    """Label the x axis: a scale, or the names of categories with a line at the median score of each."""
    axes.set_xlabel(clean_label(axis.name, 40))
    if axis.kind != "choice":
        # The entire range is shown, including the parts without trials.
        finite = [x for x in (*positions, coordinate(axis, axis.low), coordinate(axis, axis.high)) if math.isfinite(x)]
        low, high = min(finite, default=0.0), max(finite, default=0.0)
        if "log" in axis.kind and finite:
            _set_log_axis(axes, "x", low, high)
        elif high > low:
            axes.set_xlim(low - 0.04 * (high - low), high + 0.04 * (high - low))
        return
    names = categories(axis, search.ranked)
    stride = -(-len(names) // MAX_NAMED_CATEGORIES) or 1
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(
        range(0, len(names), stride),
        [clean_label(name, 60 // min(len(names), MAX_NAMED_CATEGORIES)) for name in names[::stride]],
    )
    for i, name in enumerate(names):
        scores = [
            t.score for t in search.ranked if axis.name in t.setting and format_value(t.setting[axis.name]) == name
        ]
        if len(scores) > 2:
            axes.hlines(statistics.median(scores), i - 0.33, i + 0.33, color=TEXT, linewidth=1.2, label="_")


def _mark_trial(
    axes: Axes, positions: dict[int, float], trial: Trial | None, marker: str, name: str, limits: tuple[float, float]
) -> None:
    """Draw a ring around a trial, at the edge if its score is outside the limits."""
    if trial is None or trial.number not in positions:
        return
    score = min(max(trial.score, limits[0]), limits[1])
    (ring,) = axes.plot(
        [positions[trial.number]], [score], marker, color=BACKGROUND, label=f"{name}: trial {trial.number}"
    )
    ring.set(markeredgecolor=TEXT, markeredgewidth=1.6, markersize=8, zorder=5)


def _label_axes(axes: Axes, title: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(clean_label(title, 30), loc="left", x=-0.1)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value, 4)))
    if axes.get_legend_handles_labels()[1]:
        position = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.985), "ncols": 4}
        axes.legend(
            **position, handlelength=1.7, columnspacing=1.1, handletextpad=0.4, borderaxespad=0, fontsize="small"
        )


def _set_log_axis(axes: Axes, direction: str, low: float, high: float) -> None:
    """Set a log axis from ``low`` to ``high``, with a margin on both sides."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    margin = (high / low) ** 0.05 if high > low else 1.5
    (axes.set_xscale if direction == "x" else axes.set_yscale)("log")
    (axes.set_xlim if direction == "x" else axes.set_ylim)(low / margin, high * margin)
    axis = axes.xaxis if direction == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if math.log10(high / low) < 1.5 else (1,), numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)


def _drawable(value: float | None) -> float:
    """Return the value, NaN (a gap in the line) if no axis can show it, or zero if it is too small to be drawn."""
    if value is None or not abs(value) < MAX_SCORE:
        return math.nan
    return value if abs(value) > 1 / MAX_SCORE else 0.0
