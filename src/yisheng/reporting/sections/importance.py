"""Which columns the predictions depend on, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from yisheng.core.messages import Message
from yisheng.reporting.column_figures import plot_dependence
from yisheng.reporting.evaluation_schema import ORIGINS, ColumnEffect, ImportantColumn
from yisheng.reporting.formatting import decimal_places, format_count, format_number, score_name
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render, render_figure

TEMPLATE = """
<p>{{ message("By how much the {score} becomes worse if the values of a column are exchanged at random between {rows}
of {part}, the mean of {repeats}; {score} with all columns in place: {value}. A column whose interval contains 0 may be
of no use. Of two columns that tell the same, each seems less important than both are together. It is what the model
uses, not what causes the target.", score=score, rows=rows, part=part, repeats=repeats | plural("draw"),
    value=value | exact) }}</p>
{% call table(message("Importance of the columns"), message("Intervals are 95% confidence intervals over the rows."),
    "scores") %}
<thead><tr>
{{ words(message("Column")) }}{{ numbers(message("Importance")) }}{{ numbers(message("95% interval")) }}
<th scope="col" class="wide" aria-hidden="true"></th>
</tr></thead>
<tbody>
{% for row in rows_of_table %}
<tr>
<th scope="row"><bdi>{{ row.column.column | breakable }}</bdi></th>
<td class="n strong">{{ row.column.value | exact(places) }}</td>
<td class="n">{% if row.column.low is not none and row.column.high is not none %}
{{ message("{low} to {high}", low=row.column.low | exact(places), high=row.column.high | exact(places)) }}
{% else %}–{% endif %}</td>
<td class="wide" aria-hidden="true">{% if row.bar %}
<span class="range"><i class="span" style="left:{{ row.bar.low }}%;width:{{ row.bar.width }}%"></i>
<i class="base" style="left:{{ row.bar.zero }}%"></i><i class="dot" style="left:{{ row.bar.value }}%"></i></span>
{% endif %}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
{% if omitted %}<p class="note">{{ plural_message(omitted, "{n} less important column is not listed.",
    "{n} less important columns are not listed.", n=omitted | count) }}</p>{% endif %}
{% if figures %}
<p>{{ message("The mean prediction if a column has the same value in all rows (partial dependence); the band contains
80% of the rows.") }}</p>
<div class="plots">{{ figures }}</div>
{% endif %}
<p>{{ message("The reasons of one prediction: {row}; the effect of another column: {column}.",
    row=code("yisheng look " ~ run ~ " row=0"), column=code("yisheng look " ~ run ~ " column=NAME")) }}</p>
"""


@dataclass(frozen=True)
class Bar:
    """Positions of an importance, its interval and zero on a strip, in percent of its width."""

    low: float
    width: float
    value: float
    zero: float


@dataclass(frozen=True)
class Row:
    """A column with its strip."""

    column: ImportantColumn
    bar: Bar | None


def importance(facts: RunFacts) -> Section | None:
    """Return the permutation importance of a table's columns, and the effect of the first few."""
    recorded = facts.evaluation.importance if facts.evaluation else None
    if recorded is None or not recorded.columns:
        return None
    ends = [end for column in recorded.columns for end in (column.low, column.value, column.high) if end is not None]
    unit = facts.spec.unit if facts.spec and not facts.spec.classes else ""
    html = render(
        TEMPLATE,
        score=score_name(recorded.score),
        value=recorded.value,
        part=ORIGINS.get(recorded.part, recorded.part),
        rows=format_count(recorded.rows, "row"),
        repeats=recorded.repeats,
        places=decimal_places(recorded.columns[0].value),
        rows_of_table=[Row(column, _place(column, min(0.0, *ends), max(0.0, *ends))) for column in recorded.columns],
        omitted=recorded.omitted,
        figures=Markup("").join(_draw(effect, unit) for effect in recorded.dependence),
        run=facts.shell_path,
    )
    return Section("importance", Message("Importance of the columns"), html)


def _place(column: ImportantColumn, start: float, end: float) -> Bar | None:
    """Return the strip of a column; all have the same scale."""
    if not math.isfinite(end - start) or end <= start:
        return None
    low = column.value if column.low is None else column.low
    high = column.value if column.high is None else column.high
    positions = [round(4 + 92 * (number - start) / (end - start), 2) for number in (low, high, column.value, 0.0)]
    return Bar(positions[0], round(positions[1] - positions[0], 2), positions[2], positions[3])


def _draw(effect: ColumnEffect, unit: str) -> Markup:
    first = effect.outputs[0]
    text = Message(
        "Mean prediction of {name} by {column}: from {low} to {high}.",
        name=first.name,
        column=effect.column,
        low=format_number(min(first.mean)),
        high=format_number(max(first.mean)),
    )
    return render_figure(plot_dependence(effect, unit), text)
