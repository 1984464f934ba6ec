"""The table of classes (or labels), lowest F1 first."""

from __future__ import annotations

from yisheng.core.messages import Message
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, explain_missing, render

MAX_ROWS = 100
TEMPLATE = """
{% set note %}
{{ about }}
{% if omitted %}{{ message("The {n} best ones are in {file} only.", n=omitted | count, file=code("evaluation.json")) }}
{% endif %}
{% endset %}
{% call table(label, note, "meters") %}
<thead><tr>
{{ words(kind) }}{{ numbers(message("Rows")) }}{{ numbers(message("Precision")) }}{{ numbers(message("Recall")) }}
{{ numbers("F1") }}
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
CLASS_TEXTS = {
    "title": Message("Classes"),
    "kind": Message("Class"),
    "label": Message("Scores by class"),
    "missing": Message("The scores by class are missing."),
    "about": Message(
        "Lowest F1 first. Precision: the fraction of the rows predicted as the class that belong to it. Recall: the "
        "fraction of the rows of the class that are predicted as it. F1: the harmonic mean of both."
    ),
}
LABEL_TEXTS = {
    "title": Message("Labels"),
    "kind": Message("Label"),
    "label": Message("Scores by label"),
    "missing": Message("The scores by label are missing."),
    "about": Message(
        "Lowest F1 first. Precision: the fraction of the rows predicted as the label that belong to it. Recall: the "
        "fraction of the rows of the label that are predicted as it. F1: the harmonic mean of both."
    ),
}


def classes(facts: RunFacts) -> Section | None:
    """Return the table of scores by class."""
    evaluation = facts.evaluation
    if evaluation is None or evaluation.pairs or (facts.spec and facts.spec.task == "regression"):
        return None
    texts = LABEL_TEXTS if facts.spec and facts.spec.task == "multilabel" else CLASS_TEXTS
    if not evaluation.per_class:
        return Section("classes", texts["title"], explain_missing(facts, texts["missing"]))
    rows = sorted(evaluation.per_class, key=lambda row: 2.0 if row.f1 is None else row.f1)
    html = render(TEMPLATE, **texts, rows=rows[:MAX_ROWS], omitted=max(0, len(rows) - MAX_ROWS))
    return Section("classes", texts["title"], html)
