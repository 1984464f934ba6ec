"""The comparison of a from-scratch run with the library's run: both losses, and the largest differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.reporting import figures as plots
from yisheng.reporting.formatting import format_number
from yisheng.reporting.history import History
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.scratch_comparison_schema import Difference, ScratchComparison
from yisheng.reporting.section import Section, render, render_figure

TITLE = Message("From scratch and with the library")
TEMPLATE = """
{% set link %}<a href="{{ library }}/report.html"><code>{{ library }}/</code></a>{% endset %}
<p>{{ message("This model was trained with from-scratch layers, loss and optimizer. The library's run of the same
config,
with the same initial weights and the same batches, is in {folder}.", folder=link) }}
{% if warning %}</p><p class="missing">{{ warning }}{% endif %}</p>
<div class="plots">{{ figures }}</div>
{% if rows %}
{% set note %}
{{ message("Relative differences are divided by the larger of both numbers; for weights, by the largest one in the same
tensor. Both runs do the same arithmetic in a different order, so they round differently.") }}
{% endset %}
{% call table(message("Largest differences"), note) %}
<thead><tr>
{{ words(message("Quantity")) }}{{ numbers(message("Compared")) }}{{ numbers(message("Absolute")) }}
{{ numbers(message("Relative")) }}{{ words(message("Position")) }}
</tr></thead>
<tbody>
{% for name, row, position in rows %}
<tr><th scope="row">{{ name }}</th><td class="n">{{ row.compared | count }}</td>
<td class="n">{{ row.absolute | exact }}</td><td class="n">{{ row.relative | exact }}</td><td>{{ position }}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
{% endif %}
"""
NOT_COMPARED = Message("The library's run is not finished, so the runs are not compared yet.")


def scratch_comparison(facts: RunFacts) -> Section | None:
    """Return the comparison of a from-scratch run with the library's run, or None for other runs."""
    if facts.config.get("scratch") is not True:
        return None
    comparison = facts.scratch_comparison
    html = render(
        TEMPLATE,
        library=RunFolder.LIBRARY,
        warning=NOT_COMPARED if comparison is None else _compare_epochs(comparison),
        figures=Markup("").join(_draw_figures(facts.history, facts.library_history)),
        rows=[] if comparison is None else _table_rows(comparison),
    )
    return Section("scratch", TITLE, html)


def _compare_epochs(comparison: ScratchComparison) -> str:
    """Return a sentence on different numbers of epochs, or an empty text for equal ones."""
    scratch_epochs, library_epochs = comparison.epochs
    if scratch_epochs == library_epochs:
        return ""
    return Message(
        "Early stopping ended the runs at different epochs: {scratch} from scratch, {library} with the library.",
        scratch=f"{scratch_epochs:,}",
        library=f"{library_epochs:,}",
    )


def _table_rows(comparison: ScratchComparison) -> list[tuple[str, Difference, str]]:
    """Return name, difference and position of each compared quantity."""
    quantities = (
        (Message("losses of single batches"), "step", comparison.steps),
        (Message("training losses"), "epoch", comparison.training),
        (Message("validation losses"), "epoch", comparison.validation),
        (Message("final weights"), "", comparison.weights),
    )
    return [
        (name, difference, _describe_position(difference, unit))
        for name, unit, difference in quantities
        if difference and difference.compared
    ]


def _describe_position(difference: Difference, unit: str) -> str:
    if difference.at is None:
        return Message("none: bit-identical")
    if not isinstance(difference.at, int):
        return difference.at
    return _format_position(difference.at, unit)


def _format_position(position: int, unit: str) -> Message:
    text = f"{position:,}"
    return Message("step {position}", position=text) if unit == "step" else Message("epoch {position}", position=text)


def _draw_figures(scratch: History, library: History) -> list[Markup]:
    """Return the figures of both losses and of their difference, by step if the logs contain steps."""
    unit = "step" if min(len(scratch.steps), len(library.steps)) > 1 else "epoch"
    scratch_losses, library_losses = _losses_by(scratch, unit), _losses_by(library, unit)
    pairs = [(x, loss - library_losses[x]) for x, loss in scratch_losses.items() if x in library_losses]
    differences = [(x, difference) for x, difference in pairs if math.isfinite(difference)]
    if not differences:
        return []
    largest, position = max((abs(difference), x) for x, difference in differences)
    values = {"largest": format_number(largest), "position": _format_position(position, unit)}
    if unit == "step":
        caption = Message("Both training losses, by step. Largest difference: {largest} ({position}).", **values)
    else:
        caption = Message("Both training losses, by epoch. Largest difference: {largest} ({position}).", **values)
    chart = plots.plot_two_losses(list(scratch_losses.items()), list(library_losses.items()), unit)
    drawn = [render_figure(chart, caption, caption)]
    if largest:
        identical = sum(not difference for _, difference in differences)
        values = {"identical": f"{identical:,}", "compared": f"{len(differences):,}"}
        caption = Message("Difference of the losses; {identical} of {compared} are bit-identical.", **values)
        drawn.append(render_figure(plots.plot_loss_difference(differences, unit), caption, caption))
    return drawn


def _losses_by(history: History, unit: str) -> Mapping[int, float]:
    """Return the losses by step or epoch."""
    events: tuple[Any, ...] = history.steps if unit == "step" else history.epochs
    return {getattr(event, unit): event.loss for event in events}
