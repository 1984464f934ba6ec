"""The folds of a study: each member's score, and how far they lie apart."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from markupsafe import Markup

from yisheng.reporting.cv_schema import CrossValidation
from yisheng.reporting.formatting import (
    decimal_places,
    format_count,
    format_number,
    format_tick,
    is_higher_better,
    score_name,
)
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, figure, fill
from yisheng.reporting.svg import FIRST_COLOR, MUTED, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPLATE = """
<p>{{ of.trained | length | plural("model") }} of {{ of.models | length | count }}, each validated on another fold of the
rows{% if of.repeats > 1 %}; the folds were drawn {{ of.repeats | count }} times{% endif %}. Validation scores are
means over the folds; their intervals are those of the corrected resampled t-test, since folds share training rows.
{% if chosen %}
A fold's score is that of its best epoch, which the fold itself chose: it is too hopeful, the more so the smaller the
fold.
{% endif %}
{% if tested %}The test scores, and the predictions of this study, are of the mean of all models.
{% else %}The predictions of this study are the mean of all models.{% endif %}</p>
{% if figures %}<div class="plots">{{ figures }}</div>{% endif %}
{% call table("Folds", "Each model's folder is a whole run with a report of its own.") %}
<thead><tr>
{{ words("Model") }}{{ words("Fold") }}{% if of.repeats > 1 %}{{ numbers("Repeat") }}{% endif %}
{{ numbers("Training rows") }}{{ numbers("Validation rows") }}
{% for name in names %}{{ numbers(name | score | capital) }}{% endfor %}
{{ numbers("Epoch") }}{{ numbers("Seconds") }}
</tr></thead>
<tbody>
{% for one in shown %}
<tr>
<th scope="row"><a href="{{ one.folder }}/report.html"><bdi>{{ one.folder }}</bdi></a></th><td>{{ one.fold }}</td>
{% if of.repeats > 1 %}<td class="n">{{ one.repeat | count }}</td>{% endif %}
<td class="n">{{ one.rows.train | count }}</td><td class="n">{{ one.rows.validation | count }}</td>
{% for name in names %}<td class="n">{{ (one.scores or {}).get(name) | exact(decimals[name]) }}</td>{% endfor %}
<td class="n">{{ "–" if one.epoch is none else one.epoch | count }}</td>
<td class="n">{{ one.seconds | number(1) }}</td>
</tr>
{% endfor %}
{% for label, values in (("Mean", of.mean), ("Standard deviation", of.sd)) %}
<tr class="first"><th scope="row">{{ label }}</th><td></td>{% if of.repeats > 1 %}<td></td>{% endif %}
<td></td><td></td>
{% for name in names %}<td class="n">{{ values.get(name) | exact(decimals[name]) }}</td>{% endfor %}
<td></td><td></td></tr>
{% endfor %}
</tbody>
{% endcall %}
{% if shown | length < of.models | length %}
<p class="note">The first {{ shown | length | count }} of {{ of.models | length | plural("fold") }}; all are in
<code>cv.json</code>.</p>
{% endif %}
"""
SHOWN = 50
SCORES = 6


def folds(facts: RunFacts) -> Section | None:
    """Return a row per fold, and the scores as dots."""
    of = facts.cross_validation
    if of is None:
        return None
    first = of.score if of.score in of.mean else next(iter(of.mean), "")
    names = [first, *(name for name in of.mean if name != first)][:SCORES] if first else []
    html = fill(
        TEMPLATE,
        of=of,
        shown=of.models[:SHOWN],
        chosen=any(member.chosen for member in of.models),
        names=names,
        decimals={name: _decimals(of, name) for name in names},
        figures=_figure(of, first) if first else "",
        tested=facts.part == "test" and bool(facts.scores.get("test")),
    )
    return Section("folds", "Folds", html)


def plot_folds(of: CrossValidation, score: str, name: str) -> str:
    """Draw every fold's score, a row of dots for each repeat, and their mean as a line."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def paint(axes: Axes) -> None:
        scores = of.values(score)
        values = [value for _, value in scores]
        rows = sorted({member.repeat for member, _ in scores})
        axes.axvline(statistics.fmean(values), color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="mean")
        axes.plot(
            values,
            [-rows.index(member.repeat) for member, _ in scores],
            "o",
            color=FIRST_COLOR,
            alpha=0.7,
            markersize=8 if len(rows) <= 12 else 4,
            label="a fold",
        )
        axes.set_ylim(-len(rows) + 0.4, 0.6)
        axes.set_yticks([-i for i in range(len(rows))] if 1 < len(rows) <= 12 else [])
        axes.set_yticklabels([f"{row}" for row in rows] if 1 < len(rows) <= 12 else [])
        axes.set_title(f"{name} by fold" if len(rows) == 1 else f"{name} by fold and repeat", loc="left", x=-0.1)
        axes.set_xlabel(f"validation {name}")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
        place = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.985), "ncols": 2}
        axes.legend(**place, handlelength=1.7, columnspacing=1.1, handletextpad=0.5, borderaxespad=0)

    return draw("folds", paint)


def _figure(of: CrossValidation, score: str) -> Markup:
    values = [value for _, value in of.values(score)]
    if len(values) < 2:
        return Markup("")
    name, decimals = score_name(score), _decimals(of, score)
    best, worst = (max, min) if is_higher_better(score) is not False else (min, max)
    words = (
        f"Validation {name} of {format_count(len(values), 'fold')}: mean {format_number(statistics.fmean(values), decimals)}, "
        f"standard deviation {format_number(statistics.stdev(values), decimals)}, best {format_number(best(values), decimals)}, "
        f"worst {format_number(worst(values), decimals)}."
    )
    return figure(plot_folds(of, score, name), f"{name} by fold. {words}", words)


def _decimals(of: CrossValidation, score: str) -> int:
    """Return the decimal places, the same for all folds: as many as their standard deviation can distinguish."""
    mean, sd = of.mean[score], of.sd.get(score) or 0.0
    return decimal_places(mean, mean - sd, mean + sd)
