"""The section on an ensemble: what was tried, how good each was out of fold, and its weight."""

from __future__ import annotations

from yisheng.core.messages import Message
from yisheng.reporting.formatting import decimal_places
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
<p>{{ message("The model is a weighted mean of {used} of {candidates}, each trained on several folds of the training
part. Scores are those of out-of-fold predictions: each row is predicted by models that were not trained on it. Its fold
chose their number of epochs, and the weights were chosen on all of them, so the scores are slightly optimistic, unlike
those of the test part.", used=used | plural("candidate"), candidates=board.candidates | length | count) }}
{% if board.temperature != 1 %}
{{ message("The logits are divided by {temperature}, which lowers the log-loss out of fold.",
    temperature=board.temperature | number(2)) }}{% endif %}
{% if board.offsets %}
{{ message("The classes' logits are shifted, which improves the decisions out of fold.") }}{% endif %}
{% if board.rows_per_second %}
{{ message("The ensemble predicts {rate} rows a second.", rate=board.rows_per_second | round | int | count) }}
{% endif %}</p>
{% if board.student %}<p>
{{ message("The model is a single one that imitates this ensemble ({name}). It predicts {rate} rows a second. The
scores of the test part are those of this model.", name=board.student.name,
    rate=board.student.rows_per_second | round | int | count) }}
{% if board.student.value is not none %}
{{ message("On a fold that neither it nor its teacher knew, its {score} was {value}.", score=board.score | score,
    value=board.student.value | exact(places)) }}{% endif %}</p>{% endif %}
{% call table(message("Candidates"), message("Intervals are 95% confidence intervals.")) %}
<thead><tr>{{ words(message("Candidate")) }}{{ numbers(board.score | score | capital) }}
{{ numbers(message("95% interval")) }}{{ numbers(message("Seconds")) }}{{ numbers(message("Weight")) }}</tr></thead>
<tbody>
{% if board.ensemble %}
<tr class="first"><th scope="row">{{ message("ensemble") }}</th>
<td class="n">{{ board.ensemble.value | exact(places) }}</td>
<td class="n">{% if board.ensemble.low is not none %}{{ message("{low} to {high}",
    low=board.ensemble.low | exact(places), high=board.ensemble.high | exact(places)) }}{% else %}–{% endif %}</td>
<td class="n">{{ seconds | number(1) }}</td><td class="n">1.00</td></tr>
{% endif %}
{% for row in rows %}
<tr><th scope="row">{{ row.name }}{% if row.model and row.model != row.name %} <small>{{ row.model }}</small>{% endif %}
{% if row.status != "trained" %} <small>{{ row.status }}</small>{% endif %}</th>
<td class="n">{{ row.value | exact(places) }}</td>
<td class="n">{% if row.low is not none %}
{{ message("{low} to {high}", low=row.low | exact(places), high=row.high | exact(places)) }}
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
    return Section("leaderboard", Message("Candidates of the ensemble"), html)
