"""Prediction intervals: what they are made of, and how often they contain the true values of the test part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yisheng.reporting.evaluation_schema import Intervals, TargetCoverage
from yisheng.reporting.formatting import format_count, format_percent
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
{% for sentence in sentences %}<p>{{ sentence }}</p>{% endfor %}
{% if rows %}
{% set note %}
Fraction of {{ scored | plural("row") }} of {{ origin }} whose true value is in its interval; the 95% interval of that
fraction is Wilson's.{% if unit %} The width is in {{ unit }}.{% endif %}
{% endset %}
{% call table("Coverage", note) %}
<thead><tr>
{{ words("Interval") }}{% if has_targets %}{{ words("Target") }}{% endif %}
{{ numbers("Coverage") }}{{ numbers("95% interval") }}{{ numbers("Median width") }}
</tr></thead>
<tbody>
{% for row in rows %}
<tr>
<th scope="row">{{ row.level | percent }}</th>
{% if has_targets %}<td><bdi>{{ row.coverage.target }}</bdi></td>{% endif %}
<td class="n">{{ row.coverage.coverage | percent }}</td>
<td class="n">{{ row.coverage.low | percent }} to {{ row.coverage.high | percent }}</td>
<td class="n">{{ row.coverage.median_width | exact }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
{% endif %}
<p>Use them with <code>yisheng predict {{ run }} rows.csv interval=0.9</code>.</p>
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
    return Section("intervals", "Prediction intervals", html)


def _describe(recorded: Intervals) -> Iterator[str]:
    count = format_count(recorded.rows, "row")
    if recorded.source == "folds":
        yield (
            f"Conformal intervals from cross-validation (CV+): the errors of {recorded.models} fold models on the "
            f"{count} that they were not fitted to."
        )
    elif recorded.source == "ensemble":
        yield (
            f"Conformal intervals: the errors on the {count} of the training part, each predicted by the models of the "
            "ensemble that were trained without it. The same rows chose the weights of the ensemble."
        )
    else:
        yield (
            f"Conformal intervals: the errors on the {count} of the validation part, which the model was not fitted to."
        )
    if recorded.chose_epoch:
        yield (
            "These rows also chose the epoch of the weights, so the intervals may be slightly too narrow; folds=5 "
            "gives intervals from rows that chose nothing."
        )
    yield (
        "They hold for rows that are drawn as those of the data were, on average over them: not for each kind of row, "
        f"and not if the data changes. Levels up to {format_percent(recorded.largest_level)} are possible."
    )
    if not recorded.scored:
        yield "There is no test part, so the coverage is not measured."
