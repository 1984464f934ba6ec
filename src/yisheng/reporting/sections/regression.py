"""Regression: predicted against true values, and residuals."""

from __future__ import annotations

import math

from markupsafe import Markup

from yisheng.core.messages import Message
from yisheng.reporting import figures as plots
from yisheng.reporting.evaluation_schema import TargetPairs
from yisheng.reporting.formatting import format_count, format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, explain_missing, render, render_figure

TEMPLATE = """
<p>{% if unit %}
{{ message("{target} ({unit}), {rows} of {part}.", target=bdi(target | capital), unit=bdi(unit), rows=count,
    part=origin) }}
{% else %}
{{ message("{target}, {rows} of {part}.", target=bdi(target | capital), rows=count, part=origin) }}{% endif %}</p>
{% if omitted %}<p class="note">{{ plural_message(omitted, "{n} more target is not drawn.",
    "{n} more targets are not drawn.", n=omitted | count) }}</p>{% endif %}
<div class="plots">{{ figures }}</div>
"""
MAX_TARGETS = 12
"""Targets that are drawn."""


def regression(facts: RunFacts) -> Section | None:
    """Return the section on predicted and true values."""
    evaluation = facts.evaluation
    if evaluation is None or not (evaluation.pairs or (facts.spec and facts.spec.task == "regression")):
        return None
    if evaluation.pairs is None or not evaluation.pairs.true:
        return Section(
            "regression",
            Message("Predicted and true values"),
            explain_missing(facts, Message("The predicted values are missing.")),
        )
    unit, by_target = facts.spec.unit if facts.spec else "", evaluation.pairs.by_target
    html = render(
        TEMPLATE,
        target=facts.spec.target if facts.spec else "target",
        unit=unit,
        count=format_count(len(evaluation.pairs.true), "row"),
        origin=evaluation.origin,
        omitted=len(by_target[MAX_TARGETS:]),
        figures=Markup("").join(
            figure
            for name, pairs in zip(name_targets(facts, len(by_target)), by_target[:MAX_TARGETS], strict=False)
            for figure in _draw_target(pairs, unit, name)
        ),
    )
    return Section("regression", Message("Predicted and true values"), html)


def name_targets(facts: RunFacts, count: int) -> tuple[str, ...]:
    """Return the names of several targets for figures; a single one needs no name, which is in the text above."""
    if count == 1:
        return ("",)
    names = facts.spec.target_names if facts.spec else ()
    return names if len(names) == count else tuple(f"target {number + 1}" for number in range(count))


def _draw_target(pairs: TargetPairs, unit: str, name: str) -> list[Markup]:
    """Return the figures of a target: predicted against true values, and residuals."""
    residuals = [p - t for t, p in zip(pairs.true, pairs.predicted, strict=True) if math.isfinite(p - t)]
    mean = sum(residuals) / len(residuals) if residuals else math.nan
    median = sorted(map(abs, residuals))[len(residuals) // 2] if residuals else math.nan
    summary = Message(
        "The median absolute error is {median}; the mean error is {mean}.",
        median=format_number(median),
        mean=format_number(mean),
    )
    legend = Message("Each dot is a row; the dashed line is a perfect prediction.")
    if name:
        values = {"name": name, "summary": summary}
        predicted = Message("Predicted against true values of {name}. {summary}", **values)
        residual = Message("Predicted minus true of {name}, by predicted value. {summary}", **values)
    else:
        predicted = Message("Predicted against true values. {summary}", summary=summary)
        residual = Message("Predicted minus true, by predicted value. {summary}", summary=summary)
    return [
        render_figure(plots.plot_predicted_by_true(pairs, unit, name), predicted, legend),
        render_figure(plots.plot_residuals(pairs, unit, name), residual, summary),
    ]
