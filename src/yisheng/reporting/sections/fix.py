"""What ``fix=true`` did: each remedy with the validation score before and after."""

from __future__ import annotations

from pathlib import PurePosixPath

from yisheng.reporting.fix_schema import VERDICTS, FixedRun, format_settings, score_difference
from yisheng.reporting.formatting import format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, fill

TEMPLATE = """
{% if fix.rounds %}
<p>This run was trained with <code>fix=true</code>: what the doctor found was mended by a setting, and the run trained
again with the same seed on the same rows.</p>
<ol>{% for one in fix.rounds %}<li><bdi>{{ one.cause | capital }}</bdi> (<code>{{ one.check }}</code>).</li>
{% endfor %}</ol>
{% call table("Remedies", "The " ~ (fix.score | score) ~ " of the best epoch on the validation rows, before and " ~
    "after; the interval of the difference is that of other rows of the same kind, not of another seed.") %}
<thead><tr>{{ words("Changed") }}{{ words("Before") }}{{ words("After") }}{{ words("Verdict") }}</tr></thead>
<tbody>
{% for one in fix.rounds %}
<tr><th scope="row"><code>{{ worded(one.was) }}</code> &rarr; <code>{{ worded(one.change) }}</code></th>
{% for end in (one.before, one.after) %}<td>{{ said(end) }}, {% if linked(end.run, fix.best) -%}
<a href="../{{ end.run | urlencode }}/report.html"><code>{{ end.run }}</code></a>
{%- else %}<code>{{ end.run }}</code>{% endif %}</td>
{% endfor %}<td>{{ verdicts[one.outcome] }}{% if one.difference %}: {{ apart(one) }}{% endif %}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
{% else %}<p>This run was trained with <code>fix=true</code>; nothing was changed.</p>
{% endif %}
{% if fix.ended %}<p>It ended because <bdi>{{ fix.ended }}</bdi>.</p>{% endif %}
"""


def fix(facts: RunFacts) -> Section | None:
    """Return the rounds of ``fix=true``, or nothing for other runs."""
    if facts.fix is None:
        return None
    html = fill(
        TEMPLATE,
        fix=facts.fix,
        said=_said,
        linked=_linked,
        worded=format_settings,
        apart=score_difference,
        verdicts=VERDICTS,
    )
    return Section("fix", "Mended by the doctor", html)


def _said(round_: FixedRun) -> str:
    return "broke off" if round_.score is None else format_number(round_.score.value)


def _linked(run: str, best: str) -> bool:
    """Return whether a run folder with a plain name is next to this one."""
    return run != best and PurePosixPath(run).name == run and run not in ("", "..")
