"""Sections of the report of an evaluation on other data: its scores next to the run's own, and what was matched."""

from __future__ import annotations

from dataclasses import dataclass

from yisheng.core.messages import Message
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
{{ message("Intervals are 95% confidence intervals over the scored rows. The baseline is {baseline}.",
    baseline=baseline) }}
{% if has_own %}{{ message("The run's own scores are those of its {part}.", part=part) }}{% endif %}
{% if has_absent %}
{{ message("Averages over classes count a class that no row has as 0 if rows are predicted as it.") }}
{% endif %}
{% endset %}
{% call table(message("Scores"), note, "scores") %}
<thead><tr>
{{ words(message("Score")) }}{{ numbers(name) }}{{ numbers(message("95% interval")) }}
{% if has_own %}
{{ numbers(message("The run's own {part}", part=part)) }}{{ numbers(message("Difference")) }}
{% endif %}
{{ numbers(message("Baseline")) }}
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
PART_NAMES = {
    "train": Message("training part"),
    "validation": Message("validation part"),
    "test": Message("test part"),
}
"""Part of the rows -> its name in a sentence."""
BASELINES = {
    "classification": Message("the class frequencies of these rows, predicted for every row"),
    "multilabel": Message("the label frequencies of these rows, predicted for every row"),
    "regression": Message("the mean of these rows, predicted for every row"),
}
MATCHING = """
<p>{% if comparison.data.rows > comparison.data.scored %}
{{ message("{rows} of {data} are scored, of {total}.", rows=comparison.data.scored | plural("row"),
    data=bdi(data), total=comparison.data.rows | count) }}
{% else %}
{{ message("{rows} of {data} are scored.", rows=comparison.data.scored | plural("row"), data=bdi(data)) }}
{% endif %}
{% if not comparison.notes %}{{ message("Everything matches the run.") }}{% endif %}</p>
{% if comparison.notes %}
<ul>{% for sentence in comparison.notes %}<li><bdi>{{ sentence }}</bdi></li>{% endfor %}</ul>
{% endif %}
{% if forms %}
<p>{{ message("Labels are compared in the form {option}.", option=code("labels=" ~ forms)) }}</p>
{% endif %}
{% if rows %}
{% call table(message("Classes"), message("Classes are matched by name."), "facts") %}
<thead><tr>{{ words(message("Class")) }}{{ words(message("In the run")) }}{{ words(message("In the data")) }}
{{ numbers(message("Rows")) }}</tr></thead>
<tbody>
{% for name, in_run, in_data, count in rows %}
<tr><th scope="row"><bdi>{{ name }}</bdi></th><td>{{ in_run }}</td><td>{{ in_data }}</td>
<td class="n">{{ count | count if count is not none else "–" }}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
{% if omitted %}
<p>{{ message("{count} more are in {file}.", count=omitted | count, file=code("evaluation.json")) }}</p>
{% endif %}
{% endif %}
"""
DISTRIBUTION = """
<p>{{ message("{fraction} of the rows ({rows}) are out of distribution: they are more unusual than nearly all rows that
were held out in training, of which {expected} would be.", fraction=ood.fraction | percent, rows=ood.rows | count,
    expected=ood.expected | percent) }}
{% if is_shifted %}
{{ message("The data differs from the training data: expect lower scores than on the run's own test part, and do not
trust single predictions for these rows.") }}
{% else %}
{{ message("The data looks like the training data.") }}
{% endif %}</p>
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


def name_part(comparison: OtherData) -> str:
    """Return the name of the data, with its official part if only that is scored."""
    name, part = comparison.data.name, comparison.data.part
    if part == "all":
        return name
    return Message("{data} ({part})", data=name, part=PART_NAMES.get(part, part))


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
        part=PART_NAMES.get(comparison.run.part, comparison.run.part),
        has_own=bool(run_scores),
        has_absent=bool(comparison.classes and comparison.classes.absent),
        baseline=BASELINES[facts.spec.task] if facts.spec else Message("a constant prediction"),
    )
    return Section("scores", Message("Scores"), html)


def matching(facts: RunFacts, comparison: OtherData) -> Section:
    """Return what of the data was matched with the run, changed or left out."""
    support = {row.name: row.support for row in facts.evaluation.per_class} if facts.evaluation else {}
    rows: list[tuple[str, str, str, int | None]] = []
    if comparison.classes is not None:
        yes = Message("yes")
        rows += [(name, "–", yes, count) for name, count in comparison.classes.unknown.items()]
        rows += [(name, yes, "–", 0) for name in comparison.classes.absent]
        rows += [(name, yes, yes, support.get(name)) for name in comparison.classes.matched]
    html = render(
        MATCHING,
        comparison=comparison,
        data=name_part(comparison),
        rows=rows[:MAX_CLASSES],
        omitted=max(0, len(rows) - MAX_CLASSES),
        forms=",".join(comparison.labels),
    )
    return Section("data", Message("Data"), html)


def distribution(facts: RunFacts, comparison: OtherData) -> Section | None:  # noqa: ARG001  # all sections take both
    """Return how many rows are out of distribution; None for a run without a detector."""
    ood = comparison.out_of_distribution
    if ood is None:
        return None
    is_shifted = ood.fraction > SHIFT_FACTOR * ood.expected and ood.rows > 1
    return Section("distribution", Message("Distribution"), render(DISTRIBUTION, ood=ood, is_shifted=is_shifted))


def describe_difference(facts: RunFacts, comparison: OtherData) -> tuple[str, str, str]:
    """Return a verdict (``better``, ``unclear``, ``worse``, ``unknown``), the result and its meaning in sentences."""
    name = facts.score
    if name is None:
        return "unknown", Message("No score is defined on these rows."), ""
    score = facts.scores["test"][name]
    places = decimal_places(score.value, score.low, score.high)
    value = Message("{score} {value}", score=capitalize(score_name(name)), value=format_number(score.value, places))
    if score.low is not None and score.high is not None:
        interval = {"low": format_number(score.low, places), "high": format_number(score.high, places)}
        value = Message("{score} (95% interval {low} to {high})", score=value, **interval)
    rows = {"rows": format_count(comparison.data.scored, "row"), "data": comparison.data.name}
    run_value = comparison.run.scores.get(name)
    if run_value is None:
        result = Message("{score} on {rows} of {data}.", score=value, **rows)
        return "unknown", result, Message("The run has no score of its own to compare with.")
    result = Message(
        "{score} on {rows} of {data}; on the run's own {part} it is {run_value}.",
        score=value,
        part=PART_NAMES.get(comparison.run.part, comparison.run.part),
        run_value=format_number(run_value, places),
        **rows,
    )
    higher = is_higher_better(name)
    low = score.value if score.low is None else score.low
    high = score.value if score.high is None else score.high
    if higher is None or low <= run_value <= high:
        return "unclear", result, Message("The interval includes the run's own score: no difference is shown.")
    if (low > run_value) == higher:
        meaning = Message("Better than on the run's own rows: the whole interval is on the better side.")
        return "better", result, meaning
    return "worse", result, Message("Worse than on the run's own rows: the whole interval is on the worse side.")
