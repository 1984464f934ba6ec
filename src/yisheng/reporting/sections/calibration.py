"""Calibration: whether predicted probabilities agree with the accuracy."""

from __future__ import annotations

from typing import Any

from yisheng.core.messages import Message, translate
from yisheng.reporting import figures
from yisheng.reporting.evaluation_schema import Bin, Calibration
from yisheng.reporting.formatting import format_count, format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render, render_figure

TEMPLATE = """
<div class="columns">
{{ figure }}
<div>
{% for sentence in sentences %}<p>{{ sentence }}</p>{% endfor %}
<details><summary>{{ message("Numbers") }}</summary>
{% call table(message("Calibration by bin"), message("Predictions by their highest probability.")) %}
<thead><tr>{{ words(message("Probability")) }}{{ numbers(message("Rows")) }}{{ numbers(message("Mean")) }}
{{ numbers(message("Accuracy")) }}</tr></thead>
<tbody>
{% for bin in bins %}
<tr>
<th scope="row">{{ message("{low} to {high}", low=bin.low | percent, high=bin.high | percent) }}</th>
<td class="n">{{ bin.count | count }}</td>
<td class="n">{{ bin.confidence | percent }}</td><td class="n">{{ bin.accuracy | percent }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
</details>
</div>
</div>
"""
MIN_ROWS = 1_000
"""With fewer rows, a part of the calibration error is random, and the text says so."""


def calibration(facts: RunFacts) -> Section | None:
    """Return the reliability diagram and expected calibration error (Guo et al., 2017, section 2)."""
    bins = facts.evaluation.calibration if facts.evaluation else None
    filled = [b for b in bins.bins if b.count and b.confidence is not None and b.accuracy is not None] if bins else []
    if bins is None or not filled:
        return None
    sentences = [*_describe_calibration(bins, filled), *_describe_temperature(facts.model.get("calibration"))]
    about = " ".join(map(translate, (Message("Reliability diagram."), *sentences)))
    svg = render_figure(figures.plot_reliability(filled), about)
    html = render(TEMPLATE, figure=svg, sentences=sentences, bins=filled)
    return Section("calibration", Message("Calibration"), html)


def _describe_calibration(calibration: Calibration, filled: list[Bin]) -> list[Message]:
    rows = sum(b.count for b in filled)
    confidence = sum((b.confidence or 0) * b.count for b in filled) / rows
    accuracy = sum((b.accuracy or 0) * b.count for b in filled) / rows
    sentences = []
    if calibration.error is not None:
        sentences.append(
            Message(
                "The predicted probability and the accuracy differ by {points} percentage points on average (expected "
                "calibration error {error}).",
                points=f"{100 * calibration.error:.1f}",
                error=format_number(calibration.error, 3),
            )
        )
    gap = confidence - accuracy
    verdict = Message("overconfident") if gap > 0 else Message("underconfident")
    sentences.append(
        Message(
            "Overall, the model is {verdict}: its mean predicted probability is {confidence}%, its accuracy "
            "{accuracy}% of {rows}.",
            verdict=Message("well calibrated") if abs(gap) < 0.01 else verdict,
            confidence=f"{100 * confidence:.1f}",
            accuracy=f"{100 * accuracy:.1f}",
            rows=format_count(rows, "row"),
        )
    )
    if rows < MIN_ROWS:
        counted = format_count(rows, "row")
        sentences.append(Message("With only {rows}, a part of the error is random.", rows=counted))
    return sentences


def _describe_temperature(recorded: Any) -> list[Message]:
    """Return what calibrate=true did; nothing for a run without it."""
    if not isinstance(recorded, dict):
        return []
    values = {key: format_number(recorded.get(key), 4) for key in ("gain", "low", "high")}
    if recorded.get("kept"):
        return [
            Message(
                "Logits are divided by the temperature {temperature}, fitted to the validation part. It lowers the log "
                "loss of validation rows that it was not fitted to by {gain} (95% interval {low} to {high}).",
                temperature=format_number(recorded.get("value"), 3),
                **values,
            )
        ]
    return [
        Message(
            "No temperature is kept: one that was fitted to the validation part would lower the log loss of validation "
            "rows that it was not fitted to by {gain} (95% interval {low} to {high}).",
            **values,
        )
    ]
