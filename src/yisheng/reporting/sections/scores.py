"""The table of scores: test with its interval, validation, baseline, boosted trees."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yisheng.core.types import Score
from yisheng.reporting.formatting import decimal_places, is_higher_better
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, fill, missing

TEMPLATE = """
{% set note %}
Intervals are 95% confidence intervals. The baseline is {{ baseline }}.
{% if trees %}Boosted trees are gradient boosting on the same training rows: {{ trees }}.{% endif %}
{% if not known %}There is no test part, so the scores are those of the validation part, which also chose the weights:
they are too hopeful.{% endif %}
{% endset %}
{% call table("Scores", note, "scores") %}
<thead><tr>
{{ words("Score") }}{{ numbers(part | capital) }}{{ numbers("95% interval") }}
{% if both %}{{ numbers("Validation") }}{% endif %}
{{ numbers("Baseline") }}
{% if trees %}{{ numbers("Boosted trees") }}{% endif %}
<th scope="col" class="wide" aria-hidden="true">
<span class="key"><i class="k-dot"></i>{{ part }}</span> <span class="key"><i class="k-base"></i>baseline</span>
</th>
</tr></thead>
<tbody>
{% for row in rows %}
<tr{% if row.first %} class="first"{% endif %}>
<th scope="row">{{ row.name | score | capital }}{% if row.hint %} <small>{{ row.hint }}</small>{% endif %}</th>
<td class="n strong">{{ row.main.value | exact(row.places) }}</td>
<td class="n">
{% if row.main.low is not none and row.main.high is not none %}
{{ row.main.low | exact(row.places) }} to {{ row.main.high | exact(row.places) }}
{% else %}–{% endif %}
</td>
{% if both %}<td class="n">{{ row.validation.value | exact(row.places) if row.validation else "–" }}</td>{% endif %}
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


@dataclass(frozen=True)
class Bar:
    """Positions of a score, its interval and the baseline on a strip, in percent of its width."""

    low: float
    width: float
    value: float
    base: float


@dataclass(frozen=True)
class Row:
    """A score by part."""

    name: str
    main: Score
    validation: Score | None
    baseline: Score | None
    boosting: Score | None
    first: bool

    @property
    def places(self) -> int:
        """Return the decimal places, the same for the whole row."""
        return decimal_places(self.main.value, self.main.low, self.main.high)

    @property
    def hint(self) -> str:
        """Return a hint for scores of which smaller values are better."""
        return "smaller is better" if is_higher_better(self.name) is False else ""

    @property
    def bar(self) -> Bar | None:
        """Return the strip that shows the score against its baseline."""
        if self.baseline is None:
            return None
        value, base = self.main.value, self.baseline.value
        low = value if self.main.low is None else self.main.low
        high = value if self.main.high is None else self.main.high
        ends = (low, high, value, base)
        span = max(ends) - min(ends)
        if not math.isfinite(span) or span <= 0:
            return None
        at = [round(6 + 88 * (end - min(ends)) / span, 2) for end in ends]
        return Bar(at[0], round(at[1] - at[0], 2), at[2], at[3])


def _grown(facts: RunFacts) -> str:
    """Describe the settings of the boosted trees as far as the run records them."""
    trees = facts.evaluation.boosting if facts.evaluation else None
    return trees.about if trees else "not tuned"


def scores(facts: RunFacts) -> Section:
    """Return every score on the test and validation parts and of the baseline."""
    if not facts.scores.get(facts.part):
        return Section("scores", "Scores", missing(facts, "There are no scores yet."))
    validation = facts.scores.get("validation", {}) if facts.part == "test" else {}
    baseline, boosting = facts.scores.get("baseline", {}), facts.scores.get("boosting", {})
    rows = [
        Row(name, main, validation.get(name), baseline.get(name), boosting.get(name), name == facts.score)
        for name, main in facts.scores[facts.part].items()
    ]
    meant = {
        "classification": "what always answering the commonest class of the training part gives",
        "multilabel": "what always answering each label's commonest value in the training part gives",
        "regression": "what always answering the mean of the training part gives",
    }
    html = fill(
        TEMPLATE,
        rows=sorted(rows, key=lambda row: not row.first),
        part=facts.part,
        known=facts.part == "test",
        both=bool(validation),
        trees=_grown(facts) if boosting else "",
        baseline=meant[facts.spec.task] if facts.spec else "the simplest answer that needs no model",
    )
    return Section("scores", "Scores", html)
