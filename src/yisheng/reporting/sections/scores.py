"""The table of scores: test scores with intervals, validation scores, the baseline, and boosted trees."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yisheng.core.messages import Message
from yisheng.core.score import Score
from yisheng.core.score_keys import split_score_key
from yisheng.core.text_tables import NAMES
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.score_row import ScoreRow
from yisheng.reporting.section import Section, explain_missing, render

TEMPLATE = """
{% set note %}
{{ message("Intervals are 95% confidence intervals. The baseline is {baseline}.", baseline=baseline) }}
{% if has_targets %}{{ message("R² without the name of a target is the mean over the targets, which does not depend on
their units; each target's errors are in its own unit.") }}{% endif %}
{% if trees %}
{{ message("Boosted trees are gradient boosting on the same training rows: {settings}.", settings=trees) }}{% endif %}
{% if not has_test %}{{ message("Without a test part, the scores are those of the validation part, which also chose the
weights: they are optimistic.") }}{% endif %}
{% endset %}
{% call table(message("Scores"), note, "scores") %}
<thead><tr>
{{ words(message("Score")) }}{{ numbers(part | capital) }}{{ numbers(message("95% interval")) }}
{% if has_validation %}{{ numbers(message("Validation")) }}{% endif %}
{{ numbers(message("Baseline")) }}
{% if trees %}{{ numbers(message("Boosted trees")) }}{% endif %}
<th scope="col" class="wide" aria-hidden="true">
<span class="key"><i class="k-dot"></i>{{ part }}</span>
<span class="key"><i class="k-base"></i>{{ message("baseline") }}</span>
</th>
</tr></thead>
<tbody>
{% for row in rows %}
<tr{% if row.is_headline %} class="first"{% endif %}>
{{ score_cells(row) }}
{% if has_validation %}
<td class="n">{{ row.validation.value | exact(row.places) if row.validation else "–" }}</td>
{% endif %}
<td class="n">{{ row.baseline.value | exact(row.places) if row.baseline else "–" }}</td>
{% if trees %}<td class="n">{{ row.boosting.value | exact(row.places) if row.boosting else "–" }}</td>{% endif %}
<td class="wide" aria-hidden="true">
{% if row.bar %}
<span class="range"><i class="span" style="left:{{ row.bar.low }}%;width:{{ row.bar.width }}%"></i>
<i class="base" style="left:{{ row.bar.base }}%"></i><i class="dot" style="left:{{ row.bar.value }}%"></i></span>
{% endif %}
</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
BASELINES = {
    "classification": Message("the most frequent class of the training part, predicted for every row"),
    "multilabel": Message("the most frequent value of each label in the training part, predicted for every row"),
    "regression": Message("the mean of the training part, predicted for every row"),
}


@dataclass(frozen=True)
class Bar:
    """Positions of a score, its interval and the baseline on a strip, in percent of its width."""

    low: float
    width: float
    value: float
    base: float


@dataclass(frozen=True)
class Row(ScoreRow):
    """A score on each part, and that of the baseline and of boosted trees."""

    validation: Score | None
    boosting: Score | None

    @property
    def bar(self) -> Bar | None:
        """Return the strip that shows the score against its baseline."""
        if self.baseline is None:
            return None
        value, base = self.score.value, self.baseline.value
        low = value if self.score.low is None else self.score.low
        high = value if self.score.high is None else self.score.high
        ends = (low, high, value, base)
        span = max(ends) - min(ends)
        if not math.isfinite(span) or span <= 0:
            return None
        positions = [round(6 + 88 * (end - min(ends)) / span, 2) for end in ends]
        return Bar(positions[0], round(positions[1] - positions[0], 2), positions[2], positions[3])


def _describe_trees(facts: RunFacts) -> str:
    """Describe the settings of the boosted trees, which ``evaluation.json`` records."""
    trees = facts.evaluation.boosting if facts.evaluation else None
    return trees.about if trees else Message("not tuned")


def scores(facts: RunFacts) -> Section:
    """Return every score on the test and validation parts and of the baseline."""
    if not facts.scores.get(facts.part):
        return Section("scores", Message("Scores"), explain_missing(facts, Message("No scores yet.")))
    validation = facts.scores.get("validation", {}) if facts.part == "test" else {}
    baseline, boosting = facts.scores.get("baseline", {}), facts.scores.get("boosting", {})
    rows = [
        Row(name, score, baseline.get(name), name == facts.score, validation.get(name), boosting.get(name))
        for name, score in facts.scores[facts.part].items()
    ]
    html = render(
        TEMPLATE,
        rows=sorted(rows, key=lambda row: not row.is_headline),
        part=NAMES.get(facts.part, facts.part),
        has_test=facts.part == "test",
        has_validation=bool(validation),
        has_targets=any(split_score_key(name)[1] for name in facts.scores[facts.part]),
        trees=_describe_trees(facts) if boosting else "",
        baseline=BASELINES[facts.spec.task] if facts.spec else Message("a prediction without a model"),
    )
    return Section("scores", Message("Scores"), html)
