"""Scores by the values of a column."""

from __future__ import annotations

from yisheng.core.messages import Message
from yisheng.reporting.formatting import format_count, is_higher_better, score_name
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
{% set note %}
{{ message("Scores of the rows of {part} by their value of {column}; intervals are 95% confidence intervals.",
    part=origin, column=bdi(column)) }}
{% if small %}{{ message("Of groups with fewer than {n} rows little is known: {groups}.", n=few_rows,
    groups=bdi(small | join(", "))) }}
{% endif %}
{% if omitted %}{{ plural_message(omitted, "{n} smaller group is left out.", "{n} smaller groups are left out.",
    n=omitted | count) }}{% endif %}
{% endset %}
{% call table(message("Scores by group"), note, "scores") %}
<thead><tr>
{{ words(message("Group")) }}{{ numbers(message("Rows")) }}
{% for name in names %}{{ numbers(name | score | capital) }}{{ numbers(message("95% interval")) }}{% endfor %}
</tr></thead>
<tbody>
{% for group in groups %}
<tr><th scope="row"><bdi>{{ group.group }}</bdi></th><td class="n">{{ group.rows | count }}</td>
{% for name in names %}
{% set score = group.scores.get(name) %}
{% if score %}
{% set places = score.value | places(score.low, score.high) %}
<td class="n strong">{{ score.value | exact(places) }}</td>
<td class="n">{% if score.low is not none and score.high is not none %}
{{ message("{low} to {high}", low=score.low | exact(places), high=score.high | exact(places)) }}
{% else %}–{% endif %}</td>
{% else %}<td class="n">–</td><td class="n">–</td>{% endif %}
{% endfor %}
</tr>
{% endfor %}
</tbody>
{% endcall %}
{% for sentence in sentences %}<p>{{ sentence }}</p>{% endfor %}
"""
MAX_SCORES = 3
"""Scores of each group that are shown, the run's own score first."""


def groups(facts: RunFacts) -> Section | None:
    """Return the scores by the values of the column that ``groups=`` names."""
    recorded = facts.evaluation.groups if facts.evaluation else None
    if facts.evaluation is None or recorded is None or not recorded.groups:
        return None
    measured = dict.fromkeys(name for group in recorded.groups for name in group.scores)
    names = sorted(measured, key=lambda name: name != facts.score)[:MAX_SCORES]
    html = render(
        TEMPLATE,
        column=recorded.column,
        origin=facts.evaluation.origin,
        groups=recorded.groups,
        names=names,
        small=[group.group for group in recorded.groups if group.rows < recorded.few_rows],
        few_rows=recorded.few_rows,
        omitted=recorded.omitted,
        sentences=_compare(facts, names[0]) if names else [],
    )
    return Section("groups", Message("Scores by group"), html)


def _compare(facts: RunFacts, name: str) -> list[str]:
    """Return which groups are worse than the rows together beyond their interval; nothing if none is."""
    overall = facts.scores.get(facts.evaluation.part if facts.evaluation else facts.part, {}).get(name)
    higher = is_higher_better(name)
    if overall is None or higher is None or facts.evaluation is None or facts.evaluation.groups is None:
        return []
    worse_groups = [
        group.group
        for group in facts.evaluation.groups.groups
        if (score := group.scores.get(name))
        and score.low is not None
        and score.high is not None
        and (score.high < overall.value if higher else score.low > overall.value)
    ]
    if not worse_groups:
        return []
    count = format_count(len(facts.evaluation.groups.groups), "group")
    return [
        Message(
            "Worse than all rows together beyond their interval, by {score}: {worse}. Of {groups}, about 1 in 40 "
            "would be so at random.",
            score=score_name(name),
            worse=", ".join(worse_groups),
            groups=count,
        )
    ]
