"""The section on an ensemble: what was tried, how good each was out of fold, and its weight."""

from __future__ import annotations

from yisheng.reporting.formatting import decimal_places
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
<p>The model is a weighted mean of {{ used | plural("candidate") }} of {{ board.candidates | length | count }}, each
trained on several folds of the training part. Scores are those of out-of-fold predictions: each row is predicted by
models that were not trained on it. Its fold chose their number of epochs, and the weights were chosen on all of them,
so the scores are slightly optimistic, unlike those of the test part.
{% if board.temperature != 1 %}The logits are divided by {{ board.temperature | number(2) }}, which lowers the log-loss
out of fold.{% endif %}
{% if board.offsets %}The classes' logits are shifted, which improves the decisions out of fold.{% endif %}</p>
{% call table("Candidates", "Intervals are 95% confidence intervals.") %}
<thead><tr>{{ words("Candidate") }}{{ numbers(board.score | score | capital) }}{{ numbers("95% interval") }}
{{ numbers("Seconds") }}{{ numbers("Weight") }}</tr></thead>
<tbody>
{% if board.ensemble %}
<tr class="first"><th scope="row">ensemble</th><td class="n">{{ board.ensemble.value | exact(places) }}</td>
<td class="n">{% if board.ensemble.low is not none %}{{ board.ensemble.low | exact(places) }} to
{{ board.ensemble.high | exact(places) }}{% else %}–{% endif %}</td>
<td class="n">{{ seconds | number(1) }}</td><td class="n">1.00</td></tr>
{% endif %}
{% for row in rows %}
<tr><th scope="row">{{ row.name }}{% if row.status != "trained" %} <small>{{ row.status }}</small>{% endif %}</th>
<td class="n">{{ row.value | exact(places) }}</td>
<td class="n">{% if row.low is not none %}{{ row.low | exact(places) }} to {{ row.high | exact(places) }}
{% else %}–{% endif %}</td>
<td class="n">{{ row.seconds | number(1) }}</td><td class="n">{{ (row.weight or 0.0) | number(2) }}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
"""


def leaderboard(facts: RunFacts) -> Section | None:
    """Return the candidates of an ensemble, or None for other models."""
    board = facts.leaderboard
    if board is None:
        return None
    values = [row.value for row in board.candidates if row.value is not None]
    html = render(
        TEMPLATE,
        board=board,
        rows=board.sort(),
        used=sum((row.weight or 0.0) > 0 for row in board.candidates),
        seconds=sum(row.seconds for row in board.candidates),
        places=decimal_places(values[0]) if values else None,
    )
    return Section("leaderboard", "Candidates of the ensemble", html)
