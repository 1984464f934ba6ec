"""The worst mistakes: images with what they are and what the model says, or a table of rows."""

from __future__ import annotations

from dataclasses import dataclass

from yisheng.reporting.evaluation_schema import Mistake
from yisheng.reporting.formatting import decimal_places
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, fill, name_of

SHOWN = 48
IMAGES = """
<p>The {{ cards | length | plural("row") }} of the {{ part }} part on which the model is surest of a wrong answer. Look
for wrong labels among them.</p>
<ul class="cards">
{% for card in cards %}
<li><figure>
{% if card.size %}
<img src="data:image/png;base64,{{ card.of.image }}" width="{{ card.size[0] }}" height="{{ card.size[1] }}"
{% if card.size[0] <= 96 %}class="pixels"{% endif %} alt="{{ card.of.display_name }}: {{ card.true }}, taken for
{{ card.predicted }}">
{% endif %}
<figcaption>
<span class="way"><bdi>{{ card.true }}</bdi> <span class="arrow" role="img" aria-label="taken for">→</span>
<strong><bdi>{{ card.predicted }}</bdi></strong></span>
<small>
{% if card.of.probability is not none %}{{ card.of.probability | percent }} sure<br>{% endif %}
{% if card.of.true_probability is not none %}
{{ card.of.true_probability | percent }} for <bdi>{{ card.true }}</bdi><br>
{% endif %}
<bdi>{{ card.of.display_name }}</bdi>
</small>
</figcaption>
</figure></li>
{% endfor %}
</ul>
"""
ROWS = """
{% set note %}
The {{ cards | length | plural("row") }} of the {{ part }} part on which the model is {{ how }}.
{% endset %}
{% set heading = numbers if numeric else words %}
{% set cell = ' class="n"' | safe if numeric else "" %}
{% call table("Worst mistakes", note) %}
<thead><tr>
{{ words("Row") }}{{ heading("True") }}{{ heading("Predicted") }}
{% if errors %}{{ numbers("Predicted − true") }}{% endif %}
{% if probabilities %}{{ numbers("Probability") }}{{ numbers("Of the true one") }}{% endif %}
</tr></thead>
<tbody>
{% for card in cards %}
<tr>
<th scope="row"><bdi>{{ card.of.display_name }}</bdi></th>
<td{{ cell }}><bdi>{{ card.true }}</bdi></td><td{{ cell }}><bdi>{{ card.predicted }}</bdi></td>
{% if errors %}
<td class="n strong">
{% for error in card.errors %}{{ error | exact(decimals) }}{{ ", " if not loop.last }}{% endfor %}
</td>
{% endif %}
{% if probabilities %}
<td class="n">{{ card.of.probability | percent }}</td><td class="n">{{ card.of.true_probability | percent }}</td>
{% endif %}
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
NONE = """<p>There is no mistake on the {{ part }} part.</p>"""


@dataclass(frozen=True)
class Card:
    """A mistake with its labels as text, the size of its image, and its error for each target."""

    of: Mistake
    true: str
    predicted: str
    size: tuple[int, int] | None
    errors: list[float]


def mistakes(facts: RunFacts) -> Section | None:
    """Return the rows on which the model is most wrong."""
    about = facts.evaluation
    if about is None:
        return None
    worst, classes = about.worst[:SHOWN], facts.spec.classes if facts.spec else ()
    largest = max((abs(error) for row in worst for error in _errors(row)), default=None)
    decimals = None if largest is None else decimal_places(largest / 10)  # the same in all columns and rows
    cards = [
        Card(
            row,
            name_of(row.true, classes, decimals),
            name_of(row.predicted, classes, decimals),
            row.image_size,
            _errors(row),
        )
        for row in worst
    ]
    if not cards:
        return Section("mistakes", "Worst mistakes", fill(NONE, part=about.part))
    if any(card.size for card in cards):
        return Section("mistakes", "Worst mistakes", fill(IMAGES, cards=cards, part=about.part))
    html = fill(
        ROWS,
        cards=cards,
        decimals=decimals,
        part=about.part,
        how="furthest from the truth" if about.pairs else "surest of a wrong answer",
        numeric=about.pairs is not None,
        errors=any(card.errors for card in cards),
        probabilities=any(card.of.probability is not None for card in cards),
    )
    return Section("mistakes", "Worst mistakes", html)


def _errors(row: Mistake) -> list[float]:
    if row.error is None:
        return []
    return row.error if isinstance(row.error, list) else [row.error]
