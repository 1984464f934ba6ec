"""The page of a comparison: curves by epoch, scores, differing settings, and the significance of the difference."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from markupsafe import Markup

from yisheng.core import files
from yisheng.core.messages import Message, translate
from yisheng.core.score import Score
from yisheng.reporting import comparison_figures, svg
from yisheng.reporting.comparison_figures import Curves
from yisheng.reporting.formatting import capitalize, format_number, replace_unprintable, score_name
from yisheng.reporting.section import Section, render, render_figure, render_page

PARTS = {"test": Message("Test"), "validation": Message("Validation"), "baseline": Message("Baseline")}
"""Part of the scores -> the heading of its column."""
SIGNS = {"better": "✓", "worse": "✗", "unclear": "?", "unknown": "–"}
CURVES = """
<ol class="key">
{% for color, label in key %}
<li><i style="background:{{ color }}"></i> {{ loop.index }}: <bdi>{{ label }}</bdi></li>
{% endfor %}
</ol>
{% if figures %}<div class="plots">{{ figures }}</div>
{% else %}<p class="missing">{{ message("None of the logs contains an epoch.") }}</p>{% endif %}
"""
SCORES = """
{% set note %}
{{ message("In parentheses: 95% interval over the rows of the part. ±: standard deviation over runs.") }}
{% endset %}
{% call table(name | capital, note) %}
<thead><tr>{{ words("") }}{% for part in parts %}{{ numbers(part) }}{% endfor %}</tr></thead>
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
{% call table(message("What differs in the configs"),
    message("Keys with the same value in all configs are left out.")) %}
<thead><tr>{{ words(message("Key")) }}
{% for run in runs %}<th scope="col">{{ loop.index }}</th>{% endfor %}</tr></thead>
<tbody>
{% for key, values in rows.items() %}
<tr><th scope="row"><code>{{ key }}</code></th>
{% for value in values %}<td><bdi>{{ value }}</bdi></td>{% endfor %}</tr>
{% endfor %}
</tbody>
{% endcall %}
{% else %}<p>{{ message("The configs do not differ.") }}</p>{% endif %}
<dl class="facts">
{% for run in runs %}<div><dt>{{ loop.index }}</dt><dd><code>{{ run }}</code></dd></div>{% endfor %}
</dl>
"""


@dataclass(frozen=True)
class Contender:
    """A run, or a group of runs, that is compared: its name, curves, and scores by part."""

    name: str
    curves: Curves
    scores: Mapping[str, tuple[Score, float | None] | None]


@dataclass(frozen=True)
class Conclusion:
    """The outcome of comparing a contender with the first one, in sentences and commands."""

    outcome: Literal["better", "worse", "unclear", "unknown"]
    lines: Sequence[str]


def render_comparison(
    contenders: Sequence[Contender],
    score: str,
    differences: Mapping[str, Sequence[str]],
    conclusions: Sequence[Conclusion],
) -> str:
    """Return the page as HTML; it needs no script and no network.

    Args:
        contenders: at least two; the others are compared with the first.
        score: the score that is compared.
        differences: for each key in which the configs differ, the value of each contender.
        conclusions: one for each contender after the first.
    """
    rows = [
        (contender.curves.label, [_format_cell(contender.scores.get(part)) for part in PARTS])
        for contender in contenders
    ]
    sections = [
        Section("curves", Message("Curves"), _render_curves(contenders, score)),
        Section("scores", Message("Scores"), render(SCORES, name=score_name(score), parts=PARTS.values(), rows=rows)),
        Section(
            "configs",
            Message("Configs"),
            render(DIFFERENCES, rows=differences, runs=[contender.name for contender in contenders]),
        ),
    ]
    verdicts = [(conclusion.outcome, SIGNS[conclusion.outcome], conclusion.lines) for conclusion in conclusions]
    text = render_page("comparison.html", count=len(contenders), verdicts=verdicts, sections=sections)
    return replace_unprintable(text)


def write_comparison(
    path: Path,
    contenders: Sequence[Contender],
    score: str,
    differences: Mapping[str, Sequence[str]],
    conclusions: Sequence[Conclusion],
) -> None:
    """Write the page, or its curves as an image, depending on the file's ending.

    Args:
        path: ``.html``, ``.svg`` or ``.png``.
        contenders: see `render_comparison`.
        score: see `render_comparison`.
        differences: see `render_comparison`.
        conclusions: see `render_comparison`.

    Raises:
        StorageError: the file cannot be written.
    """
    if path.suffix.lower() == ".html":
        files.write_file(path, render_comparison(contenders, score, differences, conclusions))
    else:
        comparison_figures.write_curves(path, [contender.curves for contender in contenders], score)


def _render_curves(contenders: Sequence[Contender], score: str) -> Markup:
    curves = [contender.curves for contender in contenders]
    panels = []
    for i, panel in enumerate(comparison_figures.select_panels(curves, score)):
        paint = functools.partial(comparison_figures.plot_curves, contenders=curves, panel=panel)
        caption = _describe_ends(curves, panel)
        title = Message("{curve} by epoch.", curve=capitalize(comparison_figures.panel_title(panel)))
        alt = Message("{title} {ends}", title=title, ends=caption) if caption else title
        panels.append(render_figure(svg.Chart(f"panel{i}", paint), alt, caption))
    key = [(svg.page_color(comparison_figures.curve_color(i)), contender.label) for i, contender in enumerate(curves)]
    return render(CURVES, key=key, figures=Markup("").join(panels))


def _describe_ends(contenders: Sequence[Curves], panel: str | None) -> str:
    """Return the final values of the curves as text."""
    ends = []
    for number, contender in enumerate(contenders, 1):
        final_values = [points[-1][1] for points in contender.points(panel) if points]
        if final_values:
            ends.append(f"{number}: {translate(format_number(sum(final_values) / len(final_values)))}")
    return Message("At the end: {values}.", values=", ".join(ends)) if ends else ""


def _format_cell(cell: tuple[Score, float | None] | None) -> str:
    """Return a score with its standard deviation over runs, or else with its interval."""
    if cell is None:
        return format_number(None)
    score, sd = cell
    if sd is not None:
        return f"{translate(format_number(score.value))} ± {translate(format_number(sd))}"
    if score.low is None or score.high is None:
        return format_number(score.value)
    return Message(
        "{value} ({low} to {high})",
        value=format_number(score.value),
        low=format_number(score.low),
        high=format_number(score.high),
    )
