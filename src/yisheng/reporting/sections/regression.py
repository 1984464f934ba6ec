"""Regression: predicted against true values, and residuals."""

from __future__ import annotations

import math

from markupsafe import Markup

from yisheng.reporting import figures as plots
from yisheng.reporting.formatting import format_count, format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, explain_missing, render, render_figure

TEMPLATE = """
<p><bdi>{{ target | capital }}</bdi>{% if unit %} (<bdi>{{ unit }}</bdi>){% endif %}, {{ count }} of
{{ origin }}.</p>
<div class="plots">{{ figures }}</div>
"""


def regression(facts: RunFacts) -> Section | None:
    """Return the section on predicted and true values."""
    evaluation = facts.evaluation
    if evaluation is None or not (evaluation.pairs or (facts.spec and facts.spec.task == "regression")):
        return None
    if evaluation.pairs is None or not evaluation.pairs.true:
        return Section(
            "regression", "Predicted and true values", explain_missing(facts, "The predicted values are missing.")
        )
    pairs, unit = evaluation.pairs, facts.spec.unit if facts.spec else ""
    residuals = [p - t for t, p in zip(pairs.true, pairs.predicted, strict=True) if math.isfinite(p - t)]
    mean = sum(residuals) / len(residuals) if residuals else math.nan
    median = sorted(map(abs, residuals))[len(residuals) // 2] if residuals else math.nan
    summary = f"The median absolute error is {format_number(median)}; the mean error is {format_number(mean)}."
    legend = "Each dot is a row; the dashed line is a perfect prediction."
    figures = [
        render_figure(plots.plot_predicted_by_true(pairs, unit), f"Predicted against true values. {summary}", legend),
        render_figure(
            plots.plot_residuals(pairs, unit), f"Predicted minus true, by predicted value. {summary}", summary
        ),
    ]
    html = render(
        TEMPLATE,
        target=facts.spec.target if facts.spec else "target",
        unit=unit,
        count=format_count(len(pairs.true), "row"),
        origin=evaluation.origin,
        figures=Markup("").join(figures),
    )
    return Section("regression", "Predicted and true values", html)
