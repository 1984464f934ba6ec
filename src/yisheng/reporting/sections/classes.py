"""The table of classes (or labels), lowest F1 first."""

from __future__ import annotations

from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, explain_missing, render

MAX_ROWS = 100
TEMPLATE = """
{% set note %}
Lowest F1 first. Precision: the fraction of the rows predicted as the {{ kind }} that belong to it. Recall: the fraction
of the rows of the {{ kind }} that are predicted as it. F1: the harmonic mean of both.
{% if omitted %}The {{ omitted | count }} best ones are in <code>evaluation.json</code> only.{% endif %}
{% endset %}
{% call table("Scores by " ~ kind, note, "meters") %}
<thead><tr>
{{ words(kind | capital) }}{{ numbers("Rows") }}{{ numbers("Precision") }}{{ numbers("Recall") }}{{ numbers("F1") }}
<th scope="col" class="wide" aria-hidden="true"></th>
</tr></thead>
<tbody>
{% for row in rows %}
<tr>
<th scope="row"><bdi>{{ row.name }}</bdi></th><td class="n">{{ row.support | count }}</td>
<td class="n">{{ row.precision | exact(3) }}</td><td class="n">{{ row.recall | exact(3) }}</td>
<td class="n strong">{{ row.f1 | exact(3) }}</td>
<td class="wide" aria-hidden="true">
{% if row.f1 is not none %}<span class="meter"><i style="width:{{ (100 * row.f1) | round(1) }}%"></i></span>{% endif %}
</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""


def classes(facts: RunFacts) -> Section | None:
    """Return the table of scores by class."""
    evaluation = facts.evaluation
    if evaluation is None or evaluation.pairs or (facts.spec and facts.spec.task == "regression"):
        return None
    kind = "label" if facts.spec and facts.spec.task == "multilabel" else "class"
    title = "Labels" if kind == "label" else "Classes"
    if not evaluation.per_class:
        return Section("classes", title, explain_missing(facts, f"The scores by {kind} are missing."))
    rows = sorted(evaluation.per_class, key=lambda row: 2.0 if row.f1 is None else row.f1)
    html = render(TEMPLATE, kind=kind, rows=rows[:MAX_ROWS], omitted=max(0, len(rows) - MAX_ROWS))
    return Section("classes", title, html)
