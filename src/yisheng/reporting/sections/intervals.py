"""Prediction intervals: what they are made of, and how often they contain the true values of the test part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yisheng.core.messages import Message
from yisheng.reporting.evaluation_schema import Intervals, TargetCoverage
from yisheng.reporting.formatting import format_count, format_percent
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
{% for sentence in sentences %}<p>{{ sentence }}</p>{% endfor %}
{% if rows %}
{% set note %}
{{ message("Fraction of {rows} of {part} whose true value is in its interval; the 95% interval of that fraction is
Wilson's.",
    rows=scored | plural("row"), part=origin) }}
{% if unit %}{{ message("The width is in {unit}.", unit=unit) }}{% endif %}
{% endset %}
{% call table(message("Coverage"), note) %}
<thead><tr>
{{ words(message("Interval")) }}{% if has_targets %}{{ words(message("Target")) }}{% endif %}
{{ numbers(message("Coverage")) }}{{ numbers(message("95% interval")) }}{{ numbers(message("Median width")) }}
</tr></thead>
<tbody>
{% for row in rows %}
<tr>
<th scope="row">{{ row.level | percent }}</th>
{% if has_targets %}<td><bdi>{{ row.coverage.target }}</bdi></td>{% endif %}
<td class="n">{{ row.coverage.coverage | percent }}</td>
<td class="n">
{{ message("{low} to {high}", low=row.coverage.low | percent, high=row.coverage.high | percent) }}</td>
<td class="n">{{ row.coverage.median_width | exact }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
{% endif %}
<p>{{ message("Use them with {command}.", command=code("yisheng predict " ~ run ~ " rows.csv interval=0.9")) }}</p>
"""
MAX_TARGETS = 12
"""Targets whose coverage is listed."""


@dataclass(frozen=True)
class Row:
    """The coverage of one level and target."""

    level: float
    coverage: TargetCoverage


def intervals(facts: RunFacts) -> Section | None:
    """Return how the intervals of a regression are made, and their coverage on the test part."""
    recorded = facts.evaluation.intervals if facts.evaluation else None
    if facts.evaluation is None or recorded is None or not recorded.rows:
        return None
    rows = [Row(level.level, target) for level in recorded.levels for target in level.targets[:MAX_TARGETS]]
    html = render(
        TEMPLATE,
        sentences=list(_describe(recorded)),
        rows=[row for row in rows if row.coverage.coverage is not None],
        has_targets=any(len(level.targets) > 1 for level in recorded.levels),
        scored=recorded.scored,
        origin=facts.evaluation.origin,
        unit=facts.spec.unit if facts.spec else "",
        run=facts.shell_path,
    )
    return Section("intervals", Message("Prediction intervals"), html)


def _describe(recorded: Intervals) -> Iterator[Message]:
    count = format_count(recorded.rows, "row")
    if recorded.source == "folds":
        yield Message(
            "Conformal intervals from cross-validation (CV+): the errors of {models} fold models on the {rows} that "
            "they were not fitted to.",
            models=recorded.models,
            rows=count,
        )
    elif recorded.source == "ensemble":
        yield Message(
            "Conformal intervals: the errors on the {rows} of the training part, each predicted by the models of the "
            "ensemble that were trained without it. The same rows chose the weights of the ensemble.",
            rows=count,
        )
    else:
        yield Message(
            "Conformal intervals: the errors on the {rows} of the validation part, which the model was not fitted to.",
            rows=count,
        )
    if recorded.chose_epoch:
        yield Message(
            "These rows also chose the epoch of the weights, so the intervals may be slightly too narrow; folds=5 "
            "gives intervals from rows that chose nothing."
        )
    yield Message(
        "They hold for rows that are drawn as those of the data were, on average over them: not for each kind of row, "
        "and not if the data changes. Levels up to {level} are possible.",
        level=format_percent(recorded.largest_level),
    )
    if not recorded.scored:
        yield Message("There is no test part, so the coverage is not measured.")
