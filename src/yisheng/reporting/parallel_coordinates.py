"""Parallel coordinates: every trial a line over one upright axis per parameter, and the score as the last.

Inselberg, "The plane with parallel coordinates" (1985). The page's style sheet colours the lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from yisheng.reporting.figures import spans_decades
from yisheng.reporting.formatting import format_tick, score_name
from yisheng.reporting.search_facts import Axis, Search, Trial, categories, coordinate, format_value, score_window
from yisheng.reporting.svg import label

MAX_LINES = 300
MAX_AXES = 12
TICKS = 12
SHADES = 5
TOP, TALL, LEFT, RIGHT, APART = 34.0, 230.0, 62.0, 24.0, 118.0


@dataclass(frozen=True)
class Scale:
    """One vertical axis.

    Args:
        name: above it.
        place: height of a trial on it, 0 (bottom) to 1; NaN where it has none.
        ticks: heights and what stands there.
    """

    name: str
    place: Callable[[Trial], float]
    ticks: list[tuple[float, str]]


def draw_parallel_coordinates(search: Search) -> str:
    """Return the figure as an SVG element; it shows trials with a score only, at most `MAX_LINES` of them."""
    shown = search.sample_trials(MAX_LINES)
    scales = [_parameter(axis, search.ranked) for axis in search.axes[:MAX_AXES]]
    if search.has_rungs:
        scales.append(_range("epochs", [float(t.epochs or 0) for t in search.ranked], lambda t: float(t.epochs or 0)))
    scales.append(_score(search))
    width = LEFT + APART * (len(scales) - 1) + RIGHT + 20
    tall = TOP + TALL + 14
    root = ElementTree.Element(
        "svg",
        {
            "viewBox": f"0 0 {width:g} {tall:g}",
            "class": "coordinates",
            "style": f"min-width:{0.8 * width:.0f}px;max-width:{1.35 * width:.0f}px",
        },
    )
    lines = ElementTree.SubElement(root, "g", {"class": "lines"})
    rank = {trial.number: i for i, trial in enumerate(search.ranked)}
    for trial in reversed(shown):  # the best on top
        shade = SHADES * rank[trial.number] // len(search.ranked)
        _line(lines, scales, trial, f"q{shade}", search)
    chosen = search.chosen_trial if search.chosen_trial is not search.best_trial else None
    marked = [(kind, one) for kind, one in (("chosen", chosen), ("best", search.best_trial)) if one]
    for kind, one in marked:
        _line(lines, scales, one, kind, search)
    for scale, x in zip(scales, _across(scales), strict=True):
        _axis(root, scale, x)
    for kind, one in marked:
        _marks(root, scales, one, kind)
    return ElementTree.tostring(root, encoding="unicode")


def _across(scales: Sequence[Scale]) -> list[float]:
    return [LEFT + APART * i for i in range(len(scales))]


def _line(parent: ElementTree.Element, scales: Sequence[Scale], trial: Trial, kind: str, search: Search) -> None:
    """Draw a trial's line, broken where it has no value on an axis; its text is shown under the pointer."""
    steps, broken = [], True
    for scale, x in zip(scales, _across(scales), strict=True):
        height = scale.place(trial)
        if math.isfinite(height):
            steps.append(f"{'M' if broken else 'L'}{x:g} {_y(height):.1f}")
        broken = not math.isfinite(height)
    path = ElementTree.SubElement(parent, "path", {"class": kind, "d": " ".join(steps)})
    setting = ", ".join(f"{name} {format_value(value)}" for name, value in trial.setting.items())
    title = f"trial {trial.number}: {setting}; {score_name(search.score)} {format_tick(trial.score)}"
    ElementTree.SubElement(path, "title").text = label(title, 200)


def _marks(parent: ElementTree.Element, scales: Sequence[Scale], trial: Trial, kind: str) -> None:
    group = ElementTree.SubElement(parent, "g", {"class": f"marks {kind}"})
    for scale, x in zip(scales, _across(scales), strict=True):
        height = scale.place(trial)
        if not math.isfinite(height):
            continue
        if kind == "best":
            ElementTree.SubElement(group, "circle", {"cx": f"{x:g}", "cy": f"{_y(height):.1f}", "r": "4.5"})
        else:
            corner = {"x": f"{x - 4:g}", "y": f"{_y(height) - 4:.1f}", "width": "8", "height": "8"}
            ElementTree.SubElement(group, "rect", corner)


def _axis(parent: ElementTree.Element, scale: Scale, x: float) -> None:
    group = ElementTree.SubElement(parent, "g", {"class": "axis"})
    ends = {"x1": f"{x:g}", "x2": f"{x:g}", "y1": f"{TOP:g}", "y2": f"{TOP + TALL:g}"}
    ElementTree.SubElement(group, "line", ends)
    name = ElementTree.SubElement(group, "text", {"x": f"{x:g}", "y": "16", "class": "name"})
    name.text = label(scale.name, 17)
    if name.text != scale.name:
        ElementTree.SubElement(name, "title").text = label(scale.name, 200)
    for height, text in scale.ticks:
        tick = ElementTree.SubElement(group, "text", {"x": f"{x - 7:g}", "y": f"{_y(height) + 4:.1f}"})
        tick.text = label(text, 9)


def _y(height: float) -> float:
    return TOP + TALL * (1 - height)


def _parameter(axis: Axis, trials: Sequence[Trial]) -> Scale:
    if axis.kind == "choice":
        return _choice(axis, trials)
    inside = [coordinate(axis, t.setting.get(axis.name)) for t in trials]
    ends = [coordinate(axis, end) for end in (axis.low, axis.high)]
    return _range(axis.name, [*inside, *ends], lambda t: coordinate(axis, t.setting.get(axis.name)), "log" in axis.kind)


def _choice(axis: Axis, trials: Sequence[Trial]) -> Scale:
    """Return an axis of categories at equal distances, the first at the bottom; of very many only some are named."""
    names = categories(axis, trials)
    heights = {name: (i + 0.5) / len(names) for i, name in enumerate(names)}

    def place(trial: Trial) -> float:
        return heights[format_value(trial.setting[axis.name])] if axis.name in trial.setting else math.nan

    every = -(-len(names) // TICKS) or 1
    return Scale(axis.name, place, [(heights[name], name) for name in names[::every]])


def _range(
    name: str,
    values: Sequence[float],
    value_of: Callable[[Trial], float],
    log: bool = False,
    drawn: tuple[float, float] | None = None,
) -> Scale:
    """Return an axis of numbers over all of ``values``, or over the part of it that is ``drawn``."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return Scale(name, value_of, [])
    low, high = drawn or (min(finite), max(finite))
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


def _score(search: Search) -> Scale:
    """Return the axis of the score, with better trials higher up; trials beyond the window are at its end."""
    scores = [t.score for t in search.ranked]
    low, high = score_window(scores, higher=search.higher)
    log = not search.higher and spans_decades([low, high])
    scale = _range(score_name(search.score), scores, lambda t: t.score, log, (low, high))
    if search.higher:
        return scale
    return Scale(scale.name, lambda t: 1 - scale.place(t), [(1 - height, text) for height, text in scale.ticks])
