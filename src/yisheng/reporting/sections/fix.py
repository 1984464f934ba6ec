"""The remedies applied by ``fix=true``, with the validation score before and after each."""

from __future__ import annotations

from pathlib import PurePosixPath

from yisheng.core.messages import Message
from yisheng.reporting.fix_schema import VERDICTS, FixedRun, format_settings, score_difference
from yisheng.reporting.formatting import format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
{% if fix.rounds %}
<p>{{ message("This run was trained with {setting}: the doctor's findings were fixed by changing settings, and the run
was trained again with the same seed on the same rows.", setting=code("fix=true")) }}</p>
<ol>{% for round in fix.rounds %}<li><bdi>{{ round.cause | capital }}</bdi> (<code>{{ round.check }}</code>).</li>
{% endfor %}</ol>
{% call table(message("Remedies"), message("The {score} of the best epoch on the validation rows, before and after.
The interval of the difference covers the choice of rows, not that of the seed.", score=fix.score | score)) %}
<thead><tr>{{ words(message("Change")) }}{{ words(message("Before")) }}{{ words(message("After")) }}
{{ words(message("Verdict")) }}</tr></thead>
<tbody>
{% for round in fix.rounds %}
<tr><th scope="row"><code>{{ format_settings(round.previous) }}</code> &rarr;
<code>{{ format_settings(round.change) }}</code></th>
{% for end in (round.run_before, round.run_after) %}<td>{{ format_score(end) }}, {% if has_link(end.run, fix.best) -%}
<a href="../{{ end.run | urlencode }}/report.html"><code>{{ end.run }}</code></a>
{%- else %}<code>{{ end.run }}</code>{% endif %}</td>
{% endfor %}
<td>{% if round.difference %}
{{ message("{verdict}: {difference}", verdict=verdicts[round.outcome], difference=score_difference(round)) }}
{% else %}{{ verdicts[round.outcome] }}{% endif %}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
{% else %}<p>{{ message("This run was trained with {setting}; nothing was changed.", setting=code("fix=true")) }}</p>
{% endif %}
{% if fix.end_reason %}<p>{{ message("It ended because {reason}.", reason=bdi(fix.end_reason)) }}</p>{% endif %}
"""


def fix(facts: RunFacts) -> Section | None:
    """Return the rounds of ``fix=true``, or None for other runs."""
    if facts.fix is None:
        return None
    html = render(
        TEMPLATE,
        fix=facts.fix,
        format_score=_format_score,
        has_link=_has_link,
        format_settings=format_settings,
        score_difference=score_difference,
        verdicts=VERDICTS,
    )
    return Section("fix", Message("Fixed by the doctor"), html)


def _format_score(run: FixedRun) -> str:
    return Message("stopped by an error") if run.score is None else format_number(run.score.value)


def _has_link(run: str, best: str) -> bool:
    """Return whether a run has a link: another folder with a plain name, next to this one."""
    return run != best and PurePosixPath(run).name == run and run not in ("", "..")
