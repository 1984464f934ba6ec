"""The doctor's findings with their evidence and symptoms, and the recorded quantities of the layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from yisheng.core.logging import SEVERITIES
from yisheng.core.messages import Message
from yisheng.reporting import layer_figures
from yisheng.reporting.findings_schema import Cause, Curves, LayerCurve
from yisheng.reporting.findings_text import (
    format_alternative,
    format_evidence,
    is_table,
    name_evidence,
    summarize_findings,
)
from yisheng.reporting.formatting import format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, breakable, render, render_figure

SIGNS: dict[str, str] = {"none": "✓", "error": "✗", "warning": "!", "note": "i"}
MAX_TABLE_ROWS = 100
ABOUT_CURVES = Message(
    "Recorded at each of the first steps, then at increasing intervals. Dotted: the threshold of a check, which "
    "reports a finding only if several steps are beyond it and other conditions hold."
)
TEMPLATE = """
<p class="summary {{ worst }}"><span class="sign" aria-hidden="true">{{ signs[worst] }}</span> {{ summary }}</p>
{% if findings.findings %}
<ol class="findings">
{% for finding in findings.findings %}
<li class="{{ finding.severity }}">
<p><span class="sign" aria-hidden="true">{{ signs[finding.severity] }}</span>
{% set sentence, names = split_names(finding.cause, finding.evidence) %}
{% set severity, cause = severities[finding.severity] | capital, bdi_breakable(sentence) %}
<strong>{% if names %}{{ message("{severity}: {cause}:", severity=severity, cause=cause) }}
{% else %}{{ message("{severity}: {cause}.", severity=severity, cause=cause) }}{% endif %}</strong></p>
{% if names %}
<ul class="names">{% for name in names %}<li><bdi>{{ name | breakable }}</bdi></li>{% endfor %}</ul>
{% endif %}
<p>{{ message("What to do: {remedy}.", remedy=bdi_breakable(finding.remedy)) }}</p>
{% set evidence = format_line(finding) %}
<p class="note">{% if evidence %}{{ evidence | breakable }} (<code>{{ finding.check }}</code>)
{%- else %}<code>{{ finding.check }}</code>{% endif %}
{%- if finding.source %}{{ message(", at {line}", line=code(finding.source)) }}{% endif %}</p>
{% if finding.images %}
<ul class="cards">
{% for row in finding.images %}
<li><figure><img src="data:image/png;base64,{{ row.image }}" alt="{{ row.name }}">
<figcaption><small><bdi>{{ row.name | breakable }}</bdi></small></figcaption></figure></li>
{% endfor %}
</ul>
{% endif %}
{% for name, rows in list_tables(finding.evidence) %}
<details><summary>{{ name_evidence(name) | capital }}</summary>
{% call table(name_evidence(name) | capital, message("The first {n} of {rows}.", n=max_rows, rows=rows | length | count)
    if rows | length > max_rows else "") %}
<thead><tr>{% for key in rows[0] %}{{ words(key | capital) }}{% endfor %}</tr></thead>
<tbody>
{% for row in rows[:max_rows] %}
<tr>{% for key in rows[0] %}
{% if loop.first %}<th scope="row"><bdi>{{ row.get(key, "") | breakable }}</bdi></th>
{% else %}<td><bdi>{{ row.get(key, "") | breakable }}</bdi></td>{% endif %}
{% endfor %}</tr>
{% endfor %}
</tbody>
{% endcall %}
</details>
{% endfor %}
{% if finding.symptoms %}
<p>{{ message("This explains:") }}</p>
<ul>{% for symptom in finding.symptoms %}<li><bdi>{{ symptom.cause | breakable }}</bdi></li>{% endfor %}</ul>
{% endif %}
{% if finding.alternatives %}
<ul>{% for other in finding.alternatives %}<li><bdi>{{ format_alternative(other) | capital | breakable }}</bdi></li>
{% endfor %}</ul>
{% endif %}
</li>
{% endfor %}
</ol>
{% endif %}
{% if figures %}
<details{% if findings.findings %} open{% endif %}>
<summary>{{ message("Gradients, updates and activations by step") }}</summary>
<p class="note">{{ about_curves }}</p>
<div class="plots">{{ figures }}</div>
</details>
{% endif %}
{% if probes %}
<details><summary>{{ message("Experiments before training") }}</summary>
{% call table(message("Experiments"),
    message("Loss of held-out training rows after the same number of steps, with one change each.")) %}
<thead><tr>{{ words(message("Change")) }}{{ numbers(message("Loss")) }}</tr></thead>
<tbody>
{% for name, loss in probes %}<tr><th scope="row">{{ name }}</th>
<td class="n">{% if loss is none %}{{ message("not finite") }}{% else %}{{ loss | exact }}{% endif %}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
</details>
{% endif %}
{% if findings.unchecked %}
<details><summary>{{ message("Skipped checks") }}</summary>
<ul>{% for name, reason in findings.unchecked.items() %}<li><code>{{ name }}</code>: {{ reason }}</li>{% endfor %}</ul>
</details>
{% endif %}
"""


def findings(facts: RunFacts) -> Section | None:
    """Return the doctor's findings, or None if ``doctor=off``."""
    if facts.findings is None:
        return None
    html = render(
        TEMPLATE,
        findings=facts.findings,
        summary=summarize_findings(facts.findings),
        worst=facts.findings.worst_severity() or "none",
        signs=SIGNS,
        severities=SEVERITIES,
        name_evidence=name_evidence,
        about_curves=ABOUT_CURVES,
        bdi_breakable=_isolate_breakable,
        format_line=_format_line,
        split_names=_split_names,
        list_tables=_list_tables,
        format_alternative=format_alternative,
        max_rows=MAX_TABLE_ROWS,
        figures=Markup("").join(_draw_figures(facts.findings.curves)),
        probes=list(facts.findings.probes.items()),
    )
    return Section("findings", Message("Findings"), html)


def _isolate_breakable(text: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(breakable(text))


def _format_line(finding: Cause) -> str:
    """Return the evidence that fits on a line; the page shows the rest as tables."""
    evidence = {name: value for name, value in finding.evidence.items() if not is_table(value)}
    return format_evidence(evidence, finding.cause)


def _list_tables(evidence: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return names and rows of the evidence that is a table, such as the columns of the data."""
    return [(name, value) for name, value in evidence.items() if is_table(value)]


def _split_names(cause: str, evidence: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return a cause without the names at its end, and the names: a page lists them one below the other.

    >>> _split_names("2 files are damaged: a.png, b.png, ...", {"count": 2, "first": ["a.png", "b.png"]})
    ('2 files are damaged', ['a.png', 'b.png', '...'])
    >>> _split_names("the steps are too long", {"layers": ["conv1"]})
    ('the steps are too long', [])
    """
    for names in evidence.values():
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            for listed in (names, [*names, "..."]):
                sentence = cause.removesuffix(f": {', '.join(listed)}")
                if sentence != cause:
                    return sentence, listed
    return cause, []


def _draw_figures(curves: Curves) -> list[Markup]:
    thresholds, drawn = curves.thresholds, []
    if len(curves.steps) < 2:
        return []
    if curves.gradients:
        chart = layer_figures.plot_layers_by_step(
            "gradients", Message("gradient"), curves.steps, curves.gradients, _gradient_threshold(curves), log=True
        )
        caption = _describe_ends(Message("Root mean square of the gradient"), curves.gradients)
        drawn.append(render_figure(chart, caption, caption))
    if curves.updates:
        chart = layer_figures.plot_layers_by_step(
            "updates", Message("relative update"), curves.steps, curves.updates, thresholds.get("updates"), log=True
        )
        quantity = Message("Root mean square of the update, relative to that of the weight")
        caption = _describe_ends(quantity, curves.updates)
        drawn.append(render_figure(chart, caption, caption))
    for name, lines, title, quantity in (
        ("dead", curves.dead, Message("dead units"), Message("Fraction of relu units that are zero for all samples")),
        (
            "saturated",
            curves.saturated,
            Message("saturated units"),
            Message("Fraction of sigmoid and tanh units at a limit"),
        ),
    ):
        if lines:
            chart = layer_figures.plot_layers_by_step(name, title, curves.steps, lines, thresholds.get(name), log=False)
            caption = _describe_ends(quantity, lines)
            drawn.append(render_figure(chart, caption, caption))
    return drawn


def _gradient_threshold(curves: Curves) -> LayerCurve | None:
    """Return the threshold of the gradients by step: a fraction of the last layer's gradient."""
    fraction = curves.thresholds.get("gradients")
    if fraction is None or len(curves.gradients) < 2:
        return None
    values = curves.gradients[-1].values
    return LayerCurve(name="", values=[None if value is None else fraction * value for value in values])


def _describe_ends(quantity: str, lines: list[LayerCurve]) -> str:
    """Return the final values of the first and the last layer as text."""
    ends = [
        (line.name, next((v for v in reversed(line.values) if v is not None), None)) for line in (lines[0], lines[-1])
    ]
    first, *last = [f"{format_number(value)} ({name})" for name, value in dict.fromkeys(ends)]
    if not last:
        return Message("{quantity}, at the end: {first}.", quantity=quantity, first=first)
    return Message("{quantity}, at the end: {first} and {last}.", quantity=quantity, first=first, last=last[0])
