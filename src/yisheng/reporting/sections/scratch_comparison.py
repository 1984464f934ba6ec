"""A run by hand and the library's beside it: both losses, and the largest differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from yisheng.core.run_folder import RunFolder
from yisheng.reporting import figures as plots
from yisheng.reporting.formatting import format_number
from yisheng.reporting.history import History
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.scratch_comparison_schema import Difference
from yisheng.reporting.section import Section, figure, fill

TITLE = "By hand, and by the library"
TEMPLATE = """
<p>This model was trained by hand-written layers, loss and optimiser; the library's run of the same config, from the
same initial weights on the same batches, lies in <a href="{{ library }}/report.html"><code>{{ library }}/</code></a>.
{% if remark %}</p><p class="missing">{{ remark }}{% endif %}</p>
<div class="plots">{{ figures }}</div>
{% if rows %}
{% call table("Largest differences", "A relative one is divided by the larger of the two numbers; of weights, by the " ~
    "largest in the same tensor. Both forms do the same arithmetic in another order, so they round differently.") %}
<thead><tr>
{{ words("Of") }}{{ numbers("Compared") }}{{ numbers("Absolute") }}{{ numbers("Relative") }}{{ words("Where") }}
</tr></thead>
<tbody>
{% for name, row, where in rows %}
<tr><th scope="row">{{ name }}</th><td class="n">{{ row.compared | count }}</td>
<td class="n">{{ row.absolute | exact }}</td><td class="n">{{ row.relative | exact }}</td><td>{{ where }}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
{% endif %}
"""
UNFINISHED = "The library's run has not come to its end, so the two are not compared yet."


def scratch_comparison(facts: RunFacts) -> Section | None:
    """Return the comparison of a from-scratch run with the library's, or nothing for other runs."""
    if facts.config.get("scratch") is not True:
        return None
    found = facts.scratch_comparison
    rows: list[tuple[str, Difference, str]] = []
    remark = UNFINISHED
    if found is not None:
        named = {
            ("losses of single batches", "step"): found.steps,
            ("training losses", "epoch"): found.training,
            ("validation losses", "epoch"): found.validation,
            ("final weights", ""): found.weights,
        }
        rows = [(name, row, _where(row, noun)) for (name, noun), row in named.items() if row and row.compared]
        ours, theirs = found.epochs
        remark = f"Patience ran out at another time: {ours:,} epochs by hand, {theirs:,} by the library."
        remark = remark if ours != theirs else ""
    figures = Markup("").join(_figures(facts.history, facts.library))
    return Section("twin", TITLE, fill(TEMPLATE, library=RunFolder.LIBRARY, remark=remark, figures=figures, rows=rows))


def _where(row: Difference, noun: str) -> str:
    if row.at is None:
        return "nowhere: equal to the last bit"
    return f"{noun} {row.at:,}" if isinstance(row.at, int) else row.at


def _figures(ours: History, theirs: History) -> list[Markup]:
    along = "step" if min(len(ours.steps), len(theirs.steps)) > 1 else "epoch"
    first, second = _losses(ours, along), _losses(theirs, along)
    both = [(at, first[at] - second[at]) for at in first if at in second]
    apart = [(at, value) for at, value in both if math.isfinite(value)]
    if not apart:
        return []
    most, where = max((abs(value), at) for at, value in apart)
    words = f"Both training losses, by {along}: at most {format_number(most)} apart ({along} {where:,})."
    svg = plots.plot_two_losses(list(first.items()), list(second.items()), along)
    drawn = [figure(svg, words, words)]
    if any(value for _, value in apart):
        same = sum(not value for _, value in apart)
        words = f"How far they are apart, by {along}; {same:,} of {len(apart):,} are equal to the last bit."
        drawn.append(figure(plots.plot_loss_difference(apart, along), words, words))
    return drawn


def _losses(log: History, along: str) -> Mapping[int, float]:
    rows: tuple[Any, ...] = log.steps if along == "step" else log.epochs
    return {getattr(row, along): row.loss for row in rows}
