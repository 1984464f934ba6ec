"""The page of a comparison: curves over epochs, scores, what differs, and whether the difference is real."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from markupsafe import Markup

from yisheng.core import files
from yisheng.core.types import Score
from yisheng.reporting import comparison_figures, svg
from yisheng.reporting.comparison_figures import Curves
from yisheng.reporting.formatting import format_number, replace_unprintable, score_name
from yisheng.reporting.section import Section, figure, fill, page

PARTS = ("test", "validation", "baseline")
SIGNS = {"better": "✓", "worse": "✗", "unclear": "?", "unknown": "–"}
CURVES = """
<ol class="key">
{% for colour, label in key %}
<li><i style="background:{{ colour }}"></i> {{ loop.index }}: <bdi>{{ label }}</bdi></li>
{% endfor %}
</ol>
{% if figures %}<div class="plots">{{ figures }}</div>
{% else %}<p class="missing">None of the logs holds an epoch.</p>{% endif %}
"""
SCORES = """
{% set note %}Intervals of 95% over the rows of the part; ± is the standard deviation over runs.{% endset %}
{% call table(name | capital, note) %}
<thead><tr>{{ words("") }}{% for part in parts %}{{ numbers(part | capital) }}{% endfor %}</tr></thead>
<tbody>
{% for label, cells in rows %}
<tr><th scope="row">{{ loop.index }}: <bdi>{{ label }}</bdi></th>
{% for cell in cells %}<td class="n">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
DIFFERENCES = """
{% if rows %}
{% call table("What differs in the configs", "Keys whose values are the same for all are left out.") %}
<thead><tr>{{ words("Key") }}{% for run in runs %}<th scope="col">{{ loop.index }}</th>{% endfor %}</tr></thead>
<tbody>
{% for key, values in rows.items() %}
<tr><th scope="row"><code>{{ key }}</code></th>
{% for value in values %}<td><bdi>{{ value }}</bdi></td>{% endfor %}</tr>
{% endfor %}
</tbody>
{% endcall %}
{% else %}<p>The configs do not differ.</p>{% endif %}
<dl class="facts">
{% for run in runs %}<div><dt>{{ loop.index }}</dt><dd><code>{{ run }}</code></dd></div>{% endfor %}
</dl>
"""


@dataclass(frozen=True)
class Contender:
    """One of the runs or groups of runs that are compared: its name, curves, and scores by part."""

    name: str
    curves: Curves
    scores: Mapping[str, tuple[Score, float | None] | None]


@dataclass(frozen=True)
class Conclusion:
    """The outcome of comparing a contender with the first one, in sentences and commands."""

    outcome: Literal["better", "worse", "unclear", "unknown"]
    lines: Sequence[str]


def render_comparison(
    compared: Sequence[Contender], score: str, differing: Mapping[str, Sequence[str]], said: Sequence[Conclusion]
) -> str:
    """Return the page as HTML; it needs no script and no network.

    Args:
        compared: at least two; the others are measured against the first.
        score: the score that is compared.
        differing: keys of the configs -> the value of each.
        said: of each after the first.
    """
    labels = [one.curves.label for one in compared]
    rows = [(one.curves.label, [_cell(one.scores.get(part)) for part in PARTS]) for one in compared]
    sections = [
        Section("curves", "Curves", _curves(compared, score, labels)),
        Section("scores", "Scores", fill(SCORES, name=score_name(score), parts=PARTS, rows=rows)),
        Section("configs", "Configs", fill(DIFFERENCES, rows=differing, runs=[one.name for one in compared])),
    ]
    about = [(one.outcome, SIGNS[one.outcome], one.lines) for one in said]
    text = page("compare.html", count=len(compared), said=about, sections=sections)
    return replace_unprintable(text)


def write_comparison(
    path: Path,
    compared: Sequence[Contender],
    score: str,
    differing: Mapping[str, Sequence[str]],
    said: Sequence[Conclusion],
) -> None:
    """Write the page, or its curves as an image, depending on the file's ending.

    Args:
        path: ``.html``, ``.svg`` or ``.png``.
        compared: see `render`.
        score: see `render`.
        differing: see `render`.
        said: see `render`.

    Raises:
        StorageError: it cannot be written.
    """
    if path.suffix.lower() == ".html":
        files.write_file(path, render_comparison(compared, score, differing, said))
    else:
        comparison_figures.write_curves(path, [one.curves for one in compared], score)


def _curves(compared: Sequence[Contender], score: str, labels: Sequence[str]) -> Markup:
    sides = [one.curves for one in compared]
    drawn = []
    for at, panel in enumerate(comparison_figures.select_panels(sides, score)):
        drawing = svg.draw(f"panel{at}", functools.partial(comparison_figures.plot_curves, sides=sides, panel=panel))
        words = _ends(sides, panel)
        drawn.append(figure(drawing, f"{comparison_figures.panel_title(panel).capitalize()} by epoch. {words}", words))
    key = [(comparison_figures.curve_color(number), label) for number, label in enumerate(labels)]
    return fill(CURVES, key=key, figures=Markup("").join(drawn))


def _ends(sides: Sequence[Curves], panel: str | None) -> str:
    """Return the last values of the curves as text."""
    ends = []
    for at, side in enumerate(sides, 1):
        last = [points[-1][1] for points in side.points(panel) if points]
        if last:
            ends.append(f"{at}: {format_number(sum(last) / len(last))}")
    return f"At the end: {', '.join(ends)}." if ends else ""


def _cell(known: tuple[Score, float | None] | None) -> str:
    if known is None:
        return format_number(None)
    score, deviation = known
    if deviation is not None:
        return f"{format_number(score.value)} ± {format_number(deviation)}"
    interval = (
        ""
        if score.low is None or score.high is None
        else f" ({format_number(score.low)} to {format_number(score.high)})"
    )
    return f"{format_number(score.value)}{interval}"
