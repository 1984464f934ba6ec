"""Calibration: whether predicted probabilities agree with the accuracy."""

from __future__ import annotations

from typing import Any

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
<details><summary>Numbers</summary>
{% call table("Calibration by bin", "Predictions by their highest probability.") %}
<thead><tr>{{ words("Probability") }}{{ numbers("Rows") }}{{ numbers("Mean") }}{{ numbers("Accuracy") }}</tr></thead>
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
MIN_ROWS = 1_000
"""With fewer rows, a part of the calibration error is random, and the text says so."""


def calibration(facts: RunFacts) -> Section | None:
    """Return the reliability diagram and expected calibration error (Guo et al., 2017, section 2)."""
    bins = facts.evaluation.calibration if facts.evaluation else None
    filled = [b for b in bins.bins if b.count and b.confidence is not None and b.accuracy is not None] if bins else []
    if bins is None or not filled:
        return None
    sentences = [*_describe_calibration(bins, filled), *_describe_temperature(facts.model.get("calibration"))]
    svg = render_figure(figures.plot_reliability(filled), "Reliability diagram. " + " ".join(sentences))
    html = render(TEMPLATE, figure=svg, sentences=sentences, bins=filled)
    return Section("calibration", "Calibration", html)


def _describe_calibration(calibration: Calibration, filled: list[Bin]) -> list[str]:
    rows = sum(b.count for b in filled)
    confidence = sum((b.confidence or 0) * b.count for b in filled) / rows
    accuracy = sum((b.accuracy or 0) * b.count for b in filled) / rows
    sentences = []
    if calibration.error is not None:
        sentences.append(
            "The predicted probability and the accuracy differ by "
            f"{100 * calibration.error:.1f} percentage points on average "
            f"(expected calibration error {format_number(calibration.error, 3)})."
        )
    gap = confidence - accuracy
    verdict = "well calibrated" if abs(gap) < 0.01 else "overconfident" if gap > 0 else "underconfident"
    sentences.append(
        f"Overall, the model is {verdict}: its mean predicted probability is {100 * confidence:.1f}%, its accuracy "
        f"{100 * accuracy:.1f}% of {format_count(rows, 'row')}."
    )
    if rows < MIN_ROWS:
        sentences.append(f"With only {format_count(rows, 'row')}, a part of the error is random.")
    return sentences


def _describe_temperature(recorded: Any) -> list[str]:
    """Return what calibrate=true did; nothing for a run without it."""
    if not isinstance(recorded, dict):
        return []
    gain, low, high = (format_number(recorded.get(key), 4) for key in ("gain", "low", "high"))
    about = f"the log loss of validation rows that it was not fitted to by {gain} (95% interval {low} to {high})"
    if recorded.get("kept"):
        value = format_number(recorded.get("value"), 3)
        return [f"Logits are divided by the temperature {value}, fitted to the validation part. It lowers {about}."]
    return [f"No temperature is kept: one that was fitted to the validation part would lower {about}."]
