"""Calibration: whether the model is right as often as it says it is."""

from __future__ import annotations

from yisheng.reporting import figures
from yisheng.reporting.evaluation_schema import Bin, Calibration
from yisheng.reporting.formatting import format_count, format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, figure, fill

TEMPLATE = """
<div class="beside">
{{ figure }}
<div>
{% for sentence in sentences %}<p>{{ sentence }}</p>{% endfor %}
<details><summary>The numbers</summary>
{% call table("Calibration by bin", "Predictions by their highest probability.") %}
<thead><tr>{{ words("Probability") }}{{ numbers("Rows") }}{{ numbers("Mean") }}{{ numbers("Right") }}</tr></thead>
<tbody>
{% for bin in bins %}
<tr>
<th scope="row">{{ bin.low | percent }} to {{ bin.high | percent }}</th><td class="n">{{ bin.count | count }}</td>
<td class="n">{{ bin.confidence | percent }}</td><td class="n">{{ bin.accuracy | percent }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
</details>
</div>
</div>
"""
FEW = 1_000
"""Below so many rows a part of the error is chance, and the text says so."""


def calibration(facts: RunFacts) -> Section | None:
    """Return the reliability diagram and expected calibration error (Guo et al., 2017, section 2)."""
    bins = facts.evaluation.calibration if facts.evaluation else None
    filled = [b for b in bins.bins if b.count and b.confidence is not None and b.accuracy is not None] if bins else []
    if bins is None or not filled:
        return None
    sentences = _words(bins, filled)
    svg = figure(figures.plot_reliability(filled), "Reliability diagram. " + " ".join(sentences))
    html = fill(TEMPLATE, figure=svg, sentences=sentences, bins=filled)
    return Section("calibration", "Can its probabilities be believed?", html)


def _words(calibration: Calibration, filled: list[Bin]) -> list[str]:
    rows = sum(b.count for b in filled)
    confidence = sum((b.confidence or 0) * b.count for b in filled) / rows
    accuracy = sum((b.accuracy or 0) * b.count for b in filled) / rows
    sentences = []
    if calibration.error is not None:
        sentences.append(
            "The probability that the model gives and the share of answers that are right differ by "
            f"{100 * calibration.error:.1f} percentage points on average "
            f"(expected calibration error {format_number(calibration.error, 3)})."
        )
    gap = confidence - accuracy
    how = "about as sure as it should be" if abs(gap) < 0.01 else "too sure of itself" if gap > 0 else "too modest"
    sentences.append(
        f"On the whole it is {how}: it says {100 * confidence:.1f}% on average, and is right in {100 * accuracy:.1f}% "
        f"of {format_count(rows, 'row')}."
    )
    if rows < FEW:
        sentences.append(f"With only {format_count(rows, 'row')}, a part of the error is chance.")
    return sentences
