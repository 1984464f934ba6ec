"""The worst mistakes: images with their true and predicted labels, or a table of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.reporting.evaluation_schema import Mistake
from yisheng.reporting.formatting import decimal_places, format_count
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, format_label, format_targets, render

MAX_MISTAKES = 48
IMAGES = """
<p>{{ description }} {{ advice }}</p>
<ul class="cards">
{% for card in cards %}
<li><figure>
{% if card.size %}
<img src="data:image/png;base64,{{ card.mistake.image }}" width="{{ card.size[0] }}" height="{{ card.size[1] }}"
{% if card.size[0] <= 96 %}class="pixels"{% endif %} alt="{{ message("{name}: {true}, predicted as {predicted}",
    name=card.mistake.display_name, true=card.true, predicted=card.predicted) }}">
{% endif %}
<figcaption>
{% for name, value, prediction, error in card.targets %}
<bdi>{{ name | breakable }}</bdi> {{ value }}
<span class="arrow" role="img" aria-label="predicted as">→</span> <strong>{{ prediction }}</strong><br>
<small>{{ message("predicted − true: {error}", error=error) }}</small>
{% else %}
<span class="way"><bdi>{{ card.true | breakable }}</bdi>
<span class="arrow" role="img" aria-label="predicted as">→</span>
<strong><bdi>{{ card.predicted | breakable }}</bdi></strong></span>
{% endfor %}
<small>
{% if card.error and not card.targets %}{{ message("predicted − true: {error}", error=bdi(card.error)) }}<br>{% endif %}
{% if card.mistake.probability is not none %}
{{ message("{percent} sure", percent=card.mistake.probability | percent) }}<br>{% endif %}
{% if card.mistake.true_probability is not none %}
{{ message("{percent} for {name}", percent=card.mistake.true_probability | percent, name=bdi(card.true)) }}<br>
{% endif %}
<bdi>{{ card.mistake.display_name | breakable }}</bdi>
</small>
</figcaption>
</figure></li>
{% endfor %}
</ul>
"""
ROWS = """
{% set heading = numbers if numeric else words %}
{% set cell = ' class="n"' | safe if numeric else "" %}
{% call table(message("Worst mistakes"), description) %}
<thead><tr>
{{ words(message("Row")) }}{{ heading(message("True")) }}{{ heading(message("Predicted")) }}
{% if errors %}{{ numbers(message("Predicted − true")) }}{% endif %}
{% if probabilities %}{{ numbers(message("Probability")) }}{{ numbers(message("Probability of the true label")) }}
{% endif %}
{% if unusual %}{{ words(message("Most unusual values (typical)")) }}{% endif %}
</tr></thead>
<tbody>
{% for card in cards %}
<tr>
<th scope="row"><bdi>{{ card.mistake.display_name | breakable }}</bdi></th>
<td{{ cell }}><bdi>{{ card.true | breakable }}</bdi></td>
<td{{ cell }}><bdi>{{ card.predicted | breakable }}</bdi></td>
{% if errors %}
<td class="n strong">
{% if card.errors | length == 1 %}{{ card.errors[0] | exact(decimals[0]) }}{% else %}{{ card.error }}{% endif %}
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
{% else %}<small>{{ message("none") }}</small>
{% endfor %}
</td>
{% endif %}
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
NO_MISTAKES = """<p>{{ message("All rows of {part} are predicted correctly.", part=origin) }}</p>"""


@dataclass(frozen=True)
class Card:
    """A mistake with its labels as text, the size of its image, and its error for each target, also as text.

    Of several targets ``targets`` has the name, the true and the predicted value and the error of each.
    """

    mistake: Mistake
    true: str
    predicted: str
    size: tuple[int, int] | None
    errors: list[float]
    error: str
    targets: list[tuple[str, str, str, str]]


def mistakes(facts: RunFacts) -> Section | None:
    """Return the rows with the largest errors, or None before evaluation."""
    evaluation = facts.evaluation
    if evaluation is None:
        return None
    worst, classes = evaluation.worst[:MAX_MISTAKES], facts.spec.classes if facts.spec else ()
    if not worst:
        return Section("mistakes", Message("Worst mistakes"), render(NO_MISTAKES, origin=evaluation.origin))
    cards, decimals = _make_cards(worst, facts.spec, classes)
    count, has_errors = format_count(len(cards), "row"), any(card.errors for card in cards)
    if evaluation.pairs:
        text = Message("The {rows} of {part} with the largest errors.", rows=count, part=evaluation.origin)
    else:
        text = Message(
            "The {rows} of {part} with the most confident wrong predictions.", rows=count, part=evaluation.origin
        )
    values = {"cards": cards, "description": text, "errors": has_errors}
    if any(card.size for card in cards):
        advice = Message("Check them for wrong values.") if has_errors else Message("Check them for wrong labels.")
        return Section("mistakes", Message("Worst mistakes"), render(IMAGES, **values, advice=advice))
    html = render(
        ROWS,
        **values,
        decimals=decimals,
        numeric=evaluation.pairs is not None,
        probabilities=any(card.mistake.probability is not None for card in cards),
        unusual=any(card.mistake.unusual for card in cards),
    )
    return Section("mistakes", Message("Worst mistakes"), html)


def _make_cards(
    worst: Sequence[Mistake], spec: Spec | None, classes: tuple[str, ...]
) -> tuple[list[Card], list[int | None]]:
    """Return the mistakes with their texts, and the decimal places of each target, the same in all of them."""
    errors = [row.errors for row in worst]
    count = len(errors[0]) if errors[0] else 0
    if not count or any(len(row) != count for row in errors):
        cards = [
            Card(row, format_label(row.true, classes), format_label(row.predicted, classes), row.image_size, [], "", [])
            for row in worst
        ]
        return cards, [None]
    names = spec.target_names if spec else ()
    names = names if len(names) == count else tuple(f"target {number + 1}" for number in range(count))
    decimals: list[int | None] = [decimal_places(max(map(abs, column)) / 10) for column in zip(*errors, strict=True)]
    cards = [
        Card(
            row,
            format_targets(row.true, names, decimals),
            format_targets(row.predicted, names, decimals),
            row.image_size,
            row.errors,
            format_targets(row.errors, names, decimals),
            _list_targets(row, names, decimals) if count > 1 else [],
        )
        for row in worst
    ]
    return cards, decimals


def _list_targets(
    row: Mistake, names: Sequence[str], decimals: Sequence[int | None]
) -> list[tuple[str, str, str, str]]:
    """Return the name of each target with its true and predicted value and its error as text."""
    if not (isinstance(row.true, list) and isinstance(row.predicted, list)):
        return []
    texts = (
        [format_label(value, decimals=places) for value, places in zip(values, decimals, strict=False)]
        for values in (row.true, row.predicted, row.errors)
    )
    return list(zip(names, *texts, strict=False))
