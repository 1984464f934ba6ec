"""What the doctor found: causes first with their evidence and symptoms, then what was seen of the layers."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from yisheng.reporting import layer_figures
from yisheng.reporting.findings_schema import SEVERITIES, Curves, Findings, LayerCurve
from yisheng.reporting.formatting import format_count, format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, figure, fill

SIGNS = {"error": "✗", "warning": "!", "note": "i"}
TEMPLATE = """
<p>{{ summary }}</p>
{% if found.findings %}
<ol class="findings">
{% for one in found.findings %}
<li class="{{ one.severity }}">
<p><span class="sign" aria-hidden="true">{{ signs[one.severity] }}</span>
<strong>{{ one.severity | capital }}: <bdi>{{ one.cause }}</bdi>.</strong></p>
<p>What to do: <bdi>{{ one.remedy }}</bdi>.</p>
{% if one.evidence %}<p class="note">{{ told(one.evidence) }} (<code>{{ one.check }}</code>)</p>{% endif %}
{% if one.symptoms %}
<p>This explains:</p>
<ul>{% for symptom in one.symptoms %}<li><bdi>{{ symptom.cause }}</bdi></li>{% endfor %}</ul>
{% endif %}
</li>
{% endfor %}
</ol>
{% endif %}
{% if figures %}
<details{% if found.findings %} open{% endif %}>
<summary>Gradients, updates and activations by step</summary>
<p class="note">Looked at in every one of the first steps and then ever fewer. Dotted: where a check begins to speak; it
needs more than one step beyond the line, and other signs.</p>
<div class="plots">{{ figures }}</div>
</details>
{% endif %}
{% if probes %}
<details><summary>Experiments before training</summary>
{% call table("Experiments", "Loss of training rows held out, after the same few steps with one thing changed.") %}
<thead><tr>{{ words("Changed") }}{{ numbers("Loss") }}</tr></thead>
<tbody>
{% for name, loss in probes %}<tr><th scope="row">{{ name }}</th>
<td class="n">{% if loss is none %}not finite{% else %}{{ loss | exact }}{% endif %}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
</details>
{% endif %}
{% if found.unchecked %}
<details><summary>What was not checked</summary>
<ul>{% for name, why in found.unchecked.items() %}<li><code>{{ name }}</code>: {{ why }}</li>{% endfor %}</ul>
</details>
{% endif %}
"""


def findings(facts: RunFacts) -> Section | None:
    """Return the doctor's findings, or nothing if ``doctor=off``."""
    page_findings = facts.findings
    if page_findings is None:
        return None
    html = fill(
        TEMPLATE,
        found=page_findings,
        summary=summary(page_findings),
        signs=SIGNS,
        told=format_evidence,
        figures=Markup("").join(_figures(page_findings.curves)),
        probes=list(page_findings.probes.items()),
    )
    return Section("findings", "Findings", html)


def summary(page_findings: Findings) -> str:
    """Return the number of findings of each severity as text.

    >>> summary(Findings(steps=600))
    'Nothing was found wrong in 600 steps of training.'
    """
    counts = [format_count(n, name) for name in SEVERITIES if (n := page_findings.count_severity(name))]
    seen = f" in {format_count(page_findings.steps, 'step')} of training" if page_findings.steps else ""
    return f"Found{seen}: {', '.join(counts)}." if counts else f"Nothing was found wrong{seen}."


def format_evidence(evidence: Any) -> str:
    """Return evidence as text on one line.

    >>> format_evidence({"loss": 0.25, "layers": ["a", "b"], "tried": {"change": "lr x 0.1"}})
    'loss: 0.250; layers: a, b; tried: (change: lr x 0.1)'
    """
    return "; ".join(f"{name}: {_said(value)}" for name, value in evidence.items() if value not in ("", None))


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return f"({format_evidence(value)})"
    if isinstance(value, list):
        return ", ".join(_said(one) for one in value[:8]) + (", ..." if len(value) > 8 else "")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value) if isinstance(value, int) else format_number(value, None).replace(",", "") if value else "0"
    return str(value)


def _figures(curves: Curves) -> list[Markup]:
    limits, drawn = curves.thresholds, []
    if len(curves.steps) < 2:
        return []
    if curves.gradients:
        last, is_fraction = curves.gradients[-1], limits.get("gradients")
        line = None
        if is_fraction is not None and len(curves.gradients) > 1:
            line = LayerCurve(name="", values=[None if value is None else is_fraction * value for value in last.values])
        svg = layer_figures.plot_layers_by_step("gradients", "gradient", curves.steps, curves.gradients, line, log=True)
        caption = _ends("Root mean square of the gradient", curves.gradients)
        drawn.append(figure(svg, caption, caption))
    if curves.updates:
        svg = layer_figures.plot_layers_by_step(
            "updates", "relative update", curves.steps, curves.updates, limits.get("updates"), log=True
        )
        caption = _ends("Change of a weight in one update, relative to its size", curves.updates)
        drawn.append(figure(svg, caption, caption))
    for name, lines, up, quantity in (
        ("dead", curves.dead, "dead units", "relu units that are zero throughout"),
        ("saturated", curves.saturated, "saturated units", "sigmoid and tanh units at an end"),
    ):
        if lines:
            svg = layer_figures.plot_layers_by_step(name, up, curves.steps, lines, limits.get(name), log=False)
            caption = _ends(f"Share of {quantity}", lines)
            drawn.append(figure(svg, caption, caption))
    return drawn


def _ends(quantity: str, lines: list[LayerCurve]) -> str:
    """Return the last values of the first and the last layer as text."""
    ends = [
        (line.name, next((v for v in reversed(line.values) if v is not None), None)) for line in (lines[0], lines[-1])
    ]
    said = [f"{format_number(value)} ({name})" for name, value in dict.fromkeys(ends)]
    return f"{quantity}, at the end {' and '.join(said)}."
