"""The table of classes (or labels), the one that is found worst first."""

from __future__ import annotations

from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, fill, missing

SHOWN = 100
TEMPLATE = """
{% set note %}
Lowest F1 first. Precision: of the rows called so, the share that are. Recall: of the rows that are so, the share called
so. F1: their harmonic mean.
{% if more %}The {{ more | count }} best are left out here; they are in <code>evaluation.json</code>.{% endif %}
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
    about = facts.evaluation
    if about is None or about.pairs or (facts.spec and facts.spec.task == "regression"):
        return None
    kind = "label" if facts.spec and facts.spec.task == "multilabel" else "class"
    title = "Labels" if kind == "label" else "Classes"
    if not about.per_class:
        return Section("classes", title, missing(facts, f"There is no table of {title.lower()}."))
    rows = sorted(about.per_class, key=lambda row: 2.0 if row.f1 is None else row.f1)
    html = fill(TEMPLATE, kind=kind, rows=rows[:SHOWN], more=max(0, len(rows) - SHOWN))
    return Section("classes", title, html)
