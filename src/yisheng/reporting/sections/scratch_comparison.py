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
    comparison = facts.scratch_comparison
    rows: list[tuple[str, Difference, str]] = []
    remark = UNFINISHED
    if comparison is not None:
        named = {
            ("losses of single batches", "step"): comparison.steps,
            ("training losses", "epoch"): comparison.training,
            ("validation losses", "epoch"): comparison.validation,
            ("final weights", ""): comparison.weights,
        }
        rows = [(name, row, _where(row, noun)) for (name, noun), row in named.items() if row and row.compared]
        scratch_log, library_log = comparison.epochs
        remark = f"Patience ran out at another time: {scratch_log:,} epochs by hand, {library_log:,} by the library."
        remark = remark if scratch_log != library_log else ""
    figures = Markup("").join(_figures(facts.history, facts.library))
    return Section("twin", TITLE, fill(TEMPLATE, library=RunFolder.LIBRARY, remark=remark, figures=figures, rows=rows))


def _where(row: Difference, noun: str) -> str:
    if row.at is None:
        return "nowhere: equal to the last bit"
    return f"{noun} {row.at:,}" if isinstance(row.at, int) else row.at


def _figures(scratch_log: History, library_log: History) -> list[Markup]:
    along = "step" if min(len(scratch_log.steps), len(library_log.steps)) > 1 else "epoch"
    first, second = _losses(scratch_log, along), _losses(library_log, along)
    curves = [(at, first[at] - second[at]) for at in first if at in second]
    differences = [(at, value) for at, value in curves if math.isfinite(value)]
    if not differences:
        return []
    largest, position = max((abs(value), at) for at, value in differences)
    words = f"Both training losses, by {along}: at most {format_number(largest)} apart ({along} {position:,})."
    svg = plots.plot_two_losses(list(first.items()), list(second.items()), along)
    drawn = [figure(svg, words, words)]
    if any(value for _, value in differences):
        is_same = sum(not value for _, value in differences)
        words = f"How far they are apart, by {along}; {is_same:,} of {len(differences):,} are equal to the last bit."
        drawn.append(figure(plots.plot_loss_difference(differences, along), words, words))
    return drawn


def _losses(log: History, along: str) -> Mapping[int, float]:
    rows: tuple[Any, ...] = log.steps if along == "step" else log.epochs
    return {getattr(row, along): row.loss for row in rows}
