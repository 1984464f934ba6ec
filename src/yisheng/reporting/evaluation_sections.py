"""Sections of the report of an evaluation on other data: its scores next to the run's own, and what was matched."""

from __future__ import annotations

from dataclasses import dataclass

from yisheng.reporting.formatting import (
    capitalize,
    decimal_places,
    format_count,
    format_number,
    is_higher_better,
    score_name,
)
from yisheng.reporting.other_data_schema import OtherData
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.score_row import ScoreRow
from yisheng.reporting.section import Section, render

MAX_CLASSES = 30
"""Classes that the page lists."""
SCORES = """
{% set note %}
Intervals are 95% confidence intervals over the scored rows. The baseline is {{ baseline }}.
{% if has_own %}The run's own scores are those of its {{ part }} part.{% endif %}
{% if has_absent %}Averages over classes count a class that no row has as 0 if rows are predicted as it.{% endif %}
{% endset %}
{% call table("Scores", note, "scores") %}
<thead><tr>
{{ words("Score") }}{{ numbers(name) }}{{ numbers("95% interval") }}
{% if has_own %}{{ numbers("Run's own " ~ part) }}{{ numbers("Difference") }}{% endif %}
{{ numbers("Baseline") }}
</tr></thead>
<tbody>
{% for row in rows %}
<tr{% if row.is_headline %} class="first"{% endif %}>
{{ score_cells(row) }}
{% if has_own %}
<td class="n">{{ row.run_value | exact(row.places) if row.run_value is not none else "–" }}</td>
<td class="n">{% if row.run_value is not none %}{{ "+" if row.difference > 0 }}{{ row.difference | exact(row.places) }}
{% else %}–{% endif %}</td>
{% endif %}
<td class="n">{{ row.baseline.value | exact(row.places) if row.baseline else "–" }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
BASELINES = {
    "classification": "the class frequencies of these rows, predicted for every row",
    "multilabel": "the label frequencies of these rows, predicted for every row",
    "regression": "the mean of these rows, predicted for every row",
}
MATCHING = """
<p>{{ comparison.data.scored | plural("row") }} of <bdi>{{ comparison.data.name }}</bdi>
{%- if comparison.data.part != "all" %} ({{ comparison.data.part }} part){% endif %} are scored
{%- if comparison.data.rows > comparison.data.scored %}, of {{ comparison.data.rows | count }}{% endif %}.
{% if not comparison.notes %}Everything matches the run.{% endif %}</p>
{% if comparison.notes %}
<ul>{% for sentence in comparison.notes %}<li><bdi>{{ sentence }}</bdi></li>{% endfor %}</ul>
{% endif %}
{% if forms %}<p>Labels are compared in the form <code>labels={{ forms }}</code>.</p>{% endif %}
{% if rows %}
{% call table("Classes", "Classes are matched by name.", "facts") %}
<thead><tr>{{ words("Class") }}{{ words("In the run") }}{{ words("In the data") }}{{ numbers("Rows") }}</tr></thead>
<tbody>
{% for name, in_run, in_data, count in rows %}
<tr><th scope="row"><bdi>{{ name }}</bdi></th><td>{{ in_run }}</td><td>{{ in_data }}</td>
<td class="n">{{ count | count if count is not none else "–" }}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
{% if omitted %}<p>{{ omitted | count }} more are in <code>evaluation.json</code>.</p>{% endif %}
{% endif %}
"""
DISTRIBUTION = """
<p><strong>{{ ood.fraction | percent }}</strong> of the rows ({{ ood.rows | count }}) are out of distribution: they are
more unusual than nearly all rows that were held out in training, of which {{ ood.expected | percent }} would be.
{% if is_shifted %}The data differs from the training data: expect lower scores than on the run's own test part, and do
not trust single predictions for these rows.{% else %}The data looks like the training data.{% endif %}</p>
"""
SHIFT_FACTOR = 5
"""Times the expected fraction of out-of-distribution rows above which the data differs from the training data."""


@dataclass(frozen=True)
class Row(ScoreRow):
    """A score on the other data, on the run's own part, and of the baseline."""

    run_value: float | None

    @property
    def difference(self) -> float:
        """Return how much larger the score is than on the run's own part."""
        return 0.0 if self.run_value is None else self.score.value - self.run_value


def compared_scores(facts: RunFacts, comparison: OtherData) -> Section:
    """Return every score on the other data next to the run's own."""
    run_scores, baseline = comparison.run.scores, facts.scores.get("baseline", {})
    rows = [
        Row(name, score, baseline.get(name), name == facts.score, run_scores.get(name))
        for name, score in facts.scores.get("test", {}).items()
    ]
    html = render(
        SCORES,
        rows=sorted(rows, key=lambda row: not row.is_headline),
        name=comparison.data.name,
        part=comparison.run.part,
        has_own=bool(run_scores),
        has_absent=bool(comparison.classes and comparison.classes.absent),
        baseline=BASELINES[facts.spec.task] if facts.spec else "a constant prediction",
    )
    return Section("scores", "Scores", html)


def matching(facts: RunFacts, comparison: OtherData) -> Section:
    """Return what of the data was matched with the run, changed or left out."""
    support = {row.name: row.support for row in facts.evaluation.per_class} if facts.evaluation else {}
    rows: list[tuple[str, str, str, int | None]] = []
    if comparison.classes is not None:
        rows += [(name, "–", "yes", count) for name, count in comparison.classes.unknown.items()]
        rows += [(name, "yes", "–", 0) for name in comparison.classes.absent]
        rows += [(name, "yes", "yes", support.get(name)) for name in comparison.classes.matched]
    html = render(
        MATCHING,
        comparison=comparison,
        rows=rows[:MAX_CLASSES],
        omitted=max(0, len(rows) - MAX_CLASSES),
        forms=",".join(comparison.labels),
    )
    return Section("data", "Data", html)


def distribution(facts: RunFacts, comparison: OtherData) -> Section | None:  # noqa: ARG001  # all sections take both
    """Return how many rows are out of distribution; None for a run without a detector."""
    ood = comparison.out_of_distribution
    if ood is None:
        return None
    is_shifted = ood.fraction > SHIFT_FACTOR * ood.expected and ood.rows > 1
    return Section("distribution", "Distribution", render(DISTRIBUTION, ood=ood, is_shifted=is_shifted))


def describe_difference(facts: RunFacts, comparison: OtherData) -> tuple[str, str, str]:
    """Return a verdict (``better``, ``unclear``, ``worse``, ``unknown``), the result and its meaning in sentences."""
    name = facts.score
    if name is None:
        return "unknown", "No score is defined on these rows.", ""
    score = facts.scores["test"][name]
    places = decimal_places(score.value, score.low, score.high)
    result = f"{capitalize(score_name(name))} {format_number(score.value, places)}"
    if score.low is not None and score.high is not None:
        result += f" (95% interval {format_number(score.low, places)} to {format_number(score.high, places)})"
    result += f" on {format_count(comparison.data.scored, 'row')} of {comparison.data.name}"
    run_value = comparison.run.scores.get(name)
    if run_value is None:
        return "unknown", f"{result}.", "The run has no score of its own to compare with."
    result += f"; on the run's own {comparison.run.part} part it is {format_number(run_value, places)}."
    higher = is_higher_better(name)
    low = score.value if score.low is None else score.low
    high = score.value if score.high is None else score.high
    if higher is None or low <= run_value <= high:
        return "unclear", result, "The interval includes the run's own score: no difference is shown."
    if (low > run_value) == higher:
        return "better", result, "Better than on the run's own rows: the whole interval is on the better side."
    return "worse", result, "Worse than on the run's own rows: the whole interval is on the worse side."
