"""The worst mistakes: images with their true and predicted labels, or a table of rows."""

from __future__ import annotations

from dataclasses import dataclass

from yisheng.reporting.evaluation_schema import Mistake
from yisheng.reporting.formatting import decimal_places
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, format_label, render

MAX_MISTAKES = 48
IMAGES = """
<p>The {{ cards | length | plural("row") }} of {{ origin }} with the most confident wrong predictions. Check
them for wrong labels.</p>
<ul class="cards">
{% for card in cards %}
<li><figure>
{% if card.size %}
<img src="data:image/png;base64,{{ card.mistake.image }}" width="{{ card.size[0] }}" height="{{ card.size[1] }}"
{% if card.size[0] <= 96 %}class="pixels"{% endif %} alt="{{ card.mistake.display_name }}: {{ card.true }}, predicted as
{{ card.predicted }}">
{% endif %}
<figcaption>
<span class="way"><bdi>{{ card.true | breakable }}</bdi>
<span class="arrow" role="img" aria-label="predicted as">→</span>
<strong><bdi>{{ card.predicted | breakable }}</bdi></strong></span>
<small>
{% if card.mistake.probability is not none %}{{ card.mistake.probability | percent }} sure<br>{% endif %}
{% if card.mistake.true_probability is not none %}
{{ card.mistake.true_probability | percent }} for <bdi>{{ card.true }}</bdi><br>
{% endif %}
<bdi>{{ card.mistake.display_name | breakable }}</bdi>
</small>
</figcaption>
</figure></li>
{% endfor %}
</ul>
"""
ROWS = """
{% set note %}
The {{ cards | length | plural("row") }} of {{ origin }} with {{ description }}.
{% endset %}
{% set heading = numbers if numeric else words %}
{% set cell = ' class="n"' | safe if numeric else "" %}
{% call table("Worst mistakes", note) %}
<thead><tr>
{{ words("Row") }}{{ heading("True") }}{{ heading("Predicted") }}
{% if errors %}{{ numbers("Predicted − true") }}{% endif %}
{% if probabilities %}{{ numbers("Probability") }}{{ numbers("Probability of the true label") }}{% endif %}
{% if unusual %}{{ words("Most unusual values (typical)") }}{% endif %}
</tr></thead>
<tbody>
{% for card in cards %}
<tr>
<th scope="row"><bdi>{{ card.mistake.display_name | breakable }}</bdi></th>
<td{{ cell }}><bdi>{{ card.true | breakable }}</bdi></td>
<td{{ cell }}><bdi>{{ card.predicted | breakable }}</bdi></td>
{% if errors %}
<td class="n strong">
{% for error in card.errors %}{{ error | exact(decimals) }}{{ ", " if not loop.last }}{% endfor %}
</td>
{% endif %}
{% if probabilities %}
<td class="n">{{ card.mistake.probability | percent }}</td>
<td class="n">{{ card.mistake.true_probability | percent }}</td>
{% endif %}
{% if unusual %}
<td class="values">
{% for item in card.mistake.unusual %}
<span><bdi>{{ item.column | breakable }}</bdi> <strong><bdi>{{ item.value | breakable }}</bdi></strong>
<small>(<bdi>{{ item.typical | breakable }}</bdi>)</small></span>
{% else %}<small>none</small>
{% endfor %}
</td>
{% endif %}
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
NO_MISTAKES = """<p>All rows of {{ origin }} are predicted correctly.</p>"""


@dataclass(frozen=True)
class Card:
    """A mistake with its labels as text, the size of its image, and its error for each target."""

    mistake: Mistake
    true: str
    predicted: str
    size: tuple[int, int] | None
    errors: list[float]


def mistakes(facts: RunFacts) -> Section | None:
    """Return the rows with the largest errors, or None before evaluation."""
    evaluation = facts.evaluation
    if evaluation is None:
        return None
    worst, classes = evaluation.worst[:MAX_MISTAKES], facts.spec.classes if facts.spec else ()
    largest = max((abs(error) for row in worst for error in _errors(row)), default=None)
    decimals = None if largest is None else decimal_places(largest / 10)  # the same for all columns and rows
    cards = [
        Card(
            row,
            format_label(row.true, classes, decimals),
            format_label(row.predicted, classes, decimals),
            row.image_size,
            _errors(row),
        )
        for row in worst
    ]
    if not cards:
        return Section("mistakes", "Worst mistakes", render(NO_MISTAKES, origin=evaluation.origin))
    if any(card.size for card in cards):
        return Section("mistakes", "Worst mistakes", render(IMAGES, cards=cards, origin=evaluation.origin))
    html = render(
        ROWS,
        cards=cards,
        decimals=decimals,
        origin=evaluation.origin,
        description="the largest errors" if evaluation.pairs else "the most confident wrong predictions",
        numeric=evaluation.pairs is not None,
        errors=any(card.errors for card in cards),
        probabilities=any(card.mistake.probability is not None for card in cards),
        unusual=any(card.mistake.unusual for card in cards),
    )
    return Section("mistakes", "Worst mistakes", html)


def _errors(row: Mistake) -> list[float]:
    if row.error is None:
        return []
    return row.error if isinstance(row.error, list) else [row.error]
