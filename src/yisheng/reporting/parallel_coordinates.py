"""Parallel coordinates: each trial is a line across vertical axes, one for each parameter and the last for the score.

Inselberg, "The plane with parallel coordinates" (1985). The page's style sheet colors the lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from yisheng.core.text_tables import text_width
from yisheng.reporting.figures import spans_decades
from yisheng.reporting.formatting import format_tick, score_name
from yisheng.reporting.search_facts import Axis, Search, Trial, categories, coordinate, format_value, score_window
from yisheng.reporting.svg import clean_label

MAX_LINES = 300
MAX_AXES = 12
MAX_CATEGORY_TICKS = 12
SHADES = 5
MAX_TICK_LENGTH = 9
CHARACTER_WIDTH = 6.6
"""Of a tick's label, in pixels at most."""
TOP_MARGIN, AXIS_HEIGHT, LEFT_MARGIN, RIGHT_MARGIN, AXIS_DISTANCE = 34.0, 230.0, 62.0, 24.0, 118.0


@dataclass(frozen=True)
class Scale:
    """One vertical axis.

    Args:
        name: its label, above the axis.
        height_of: returns the height of a trial, from 0 (bottom) to 1; NaN if the trial has no value on the axis.
        ticks: heights and their labels.
    """

    name: str
    height_of: Callable[[Trial], float]
    ticks: list[tuple[float, str]]


def draw_parallel_coordinates(search: Search) -> str:
    """Return the figure as an SVG element, with at most about `MAX_LINES` of the trials with a score."""
    trials = search.sample_trials(MAX_LINES)
    scales = [_parameter_scale(axis, search.ranked) for axis in search.axes[:MAX_AXES]]
    if search.has_rungs:
        scales.append(
            _number_scale("epochs", [float(t.epochs or 0) for t in search.ranked], lambda t: float(t.epochs or 0))
        )
    scales.append(_score_scale(search))
    width = LEFT_MARGIN + AXIS_DISTANCE * (len(scales) - 1) + RIGHT_MARGIN + 20
    height = TOP_MARGIN + AXIS_HEIGHT + 14
    root = ElementTree.Element(
        "svg",
        {
            "viewBox": f"0 0 {width:g} {height:g}",
            "class": "coordinates",
            "style": f"min-width:{0.8 * width:.0f}px;max-width:{1.35 * width:.0f}px",
        },
    )
    lines = ElementTree.SubElement(root, "g", {"class": "lines"})
    rank = {trial.number: i for i, trial in enumerate(search.ranked)}
    for trial in reversed(trials):  # the best on top
        shade = SHADES * rank[trial.number] // len(search.ranked)
        _add_line(lines, scales, trial, f"q{shade}", search)
    chosen = search.chosen_trial if search.chosen_trial is not search.best_trial else None
    marked = [(kind, trial) for kind, trial in (("chosen", chosen), ("best", search.best_trial)) if trial]
    for kind, trial in marked:
        _add_line(lines, scales, trial, kind, search)
    for scale, x in zip(scales, _axis_positions(scales), strict=True):
        _add_axis(root, scale, x)
    for kind, trial in marked:
        _add_markers(root, scales, trial, kind)
    return ElementTree.tostring(root, encoding="unicode")


def _axis_positions(scales: Sequence[Scale]) -> list[float]:
    """Return the x coordinate of each axis."""
    return [LEFT_MARGIN + AXIS_DISTANCE * i for i in range(len(scales))]


def _add_line(parent: ElementTree.Element, scales: Sequence[Scale], trial: Trial, kind: str, search: Search) -> None:
    """Draw a trial's line with its setting as tooltip; the line has a gap where the trial has no value on an axis."""
    commands, is_gap = [], True
    for scale, x in zip(scales, _axis_positions(scales), strict=True):
        height = scale.height_of(trial)
        if math.isfinite(height):
            commands.append(f"{'M' if is_gap else 'L'}{x:g} {_y_coordinate(height):.1f}")
        is_gap = not math.isfinite(height)
    path = ElementTree.SubElement(parent, "path", {"class": kind, "d": " ".join(commands)})
    setting = ", ".join(f"{name} {format_value(value)}" for name, value in trial.setting.items())
    title = f"trial {trial.number}: {setting}; {score_name(search.score)} {format_tick(trial.score)}"
    ElementTree.SubElement(path, "title").text = clean_label(title, 200)


def _add_markers(parent: ElementTree.Element, scales: Sequence[Scale], trial: Trial, kind: str) -> None:
    """Draw a circle (best trial) or a square (chosen trial) on each axis."""
    group = ElementTree.SubElement(parent, "g", {"class": f"marks {kind}"})
    for scale, x in zip(scales, _axis_positions(scales), strict=True):
        height = scale.height_of(trial)
        if not math.isfinite(height):
            continue
        if kind == "best":
            ElementTree.SubElement(group, "circle", {"cx": f"{x:g}", "cy": f"{_y_coordinate(height):.1f}", "r": "4.5"})
        else:
            rectangle = {"x": f"{x - 4:g}", "y": f"{_y_coordinate(height) - 4:.1f}", "width": "8", "height": "8"}
            ElementTree.SubElement(group, "rect", rectangle)


def _add_axis(parent: ElementTree.Element, scale: Scale, x: float) -> None:
    group = ElementTree.SubElement(parent, "g", {"class": "axis"})
    ends = {"x1": f"{x:g}", "x2": f"{x:g}", "y1": f"{TOP_MARGIN:g}", "y2": f"{TOP_MARGIN + AXIS_HEIGHT:g}"}
    ElementTree.SubElement(group, "line", ends)
    name = ElementTree.SubElement(group, "text", {"x": f"{x:g}", "y": "16", "class": "name"})
    name.text = clean_label(scale.name, 17)
    if name.text != scale.name:
        ElementTree.SubElement(name, "title").text = clean_label(scale.name, 200)
    for height, text in scale.ticks:
        label = clean_label(text, MAX_TICK_LENGTH)
        y, width = _y_coordinate(height), CHARACTER_WIDTH * text_width(label) + 4
        box = {"x": f"{x - 8 - width:.1f}", "y": f"{y - 7:.1f}", "width": f"{width:.1f}", "height": "14", "rx": "3"}
        ElementTree.SubElement(group, "rect", {"class": "label", **box})  # no line of a trial strikes through the text
        tick = ElementTree.SubElement(group, "text", {"x": f"{x - 10:g}", "y": f"{y + 4:.1f}"})
        tick.text = label


def _y_coordinate(height: float) -> float:
    return TOP_MARGIN + AXIS_HEIGHT * (1 - height)


def _parameter_scale(axis: Axis, trials: Sequence[Trial]) -> Scale:
    if axis.kind == "choice":
        return _category_scale(axis, trials)
    values = [coordinate(axis, t.setting.get(axis.name)) for t in trials]
    ends = [coordinate(axis, end) for end in (axis.low, axis.high)]
    return _number_scale(
        axis.name, [*values, *ends], lambda t: coordinate(axis, t.setting.get(axis.name)), "log" in axis.kind
    )


def _category_scale(axis: Axis, trials: Sequence[Trial]) -> Scale:
    """Return an axis of categories at equal distances, the first at the bottom; many names are thinned out."""
    names = categories(axis, trials)
    heights = {name: (i + 0.5) / len(names) for i, name in enumerate(names)}

    def height_of(trial: Trial) -> float:
        return heights[format_value(trial.setting[axis.name])] if axis.name in trial.setting else math.nan

    stride = -(-len(names) // MAX_CATEGORY_TICKS) or 1
    return Scale(axis.name, height_of, [(heights[name], name) for name in names[::stride]])


def _number_scale(
    name: str,
    values: Sequence[float],
    value_of: Callable[[Trial], float],
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> Scale:
    """Return an axis of numbers over the range of ``values``, or over ``limits``; values beyond are at its ends."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return Scale(name, value_of, [])
    low, high = limits or (min(finite), max(finite))
    scaled: Callable[[float], float] = math.log if log else float
    if not scaled(high) > scaled(low):
        return Scale(name, lambda t: 0.5 if math.isfinite(value_of(t)) else math.nan, [(0.5, format_tick(low, 4))])

    def height(value: float) -> float:
        fraction = (scaled(value) - scaled(low)) / (scaled(high) - scaled(low)) if math.isfinite(value) else math.nan
        return min(max(fraction, 0.0), 1.0) if math.isfinite(fraction) else math.nan

    subs = (1.0, 2.0, 5.0) if log and high / low < 100 else (1.0,)
    locator: Any = LogLocator(subs=subs, numticks=7) if log else MaxNLocator(5)
    ticks = [float(v) for v in locator.tick_values(low, high) if low <= v <= high]
    return Scale(name, lambda t: height(value_of(t)), [(height(v), format_tick(v, 4)) for v in ticks or [low, high]])


def _score_scale(search: Search) -> Scale:
    """Return the axis of the score, with better trials higher up; outliers are at its end."""
    scores = [t.score for t in search.ranked]
    low, high = score_window(scores, higher=search.higher)
    log = not search.higher and spans_decades([low, high])
    scale = _number_scale(score_name(search.score), scores, lambda t: t.score, log, (low, high))
    if search.higher:
        return scale
    return Scale(scale.name, lambda t: 1 - scale.height_of(t), [(1 - height, text) for height, text in scale.ticks])
