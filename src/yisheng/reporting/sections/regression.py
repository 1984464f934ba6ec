"""Regression: predicted against true values, and what is left over."""

from __future__ import annotations

import math

from markupsafe import Markup

from yisheng.reporting import figures as plots
from yisheng.reporting.formatting import format_count, format_number
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, figure, fill, missing

TEMPLATE = """
<p><bdi>{{ target | capital }}</bdi>{% if unit %} (<bdi>{{ unit }}</bdi>){% endif %}, {{ count }} of the {{ part }}
part.</p>
<div class="plots">{{ figures }}</div>
"""


def regression(facts: RunFacts) -> Section | None:
    """Return the section on predicted and true values."""
    about = facts.evaluation
    if about is None or not (about.pairs or (facts.spec and facts.spec.task == "regression")):
        return None
    if about.pairs is None or not about.pairs.true:
        return Section("regression", "Predicted and true values", missing(facts, "There are no predicted values."))
    pairs, unit = about.pairs, facts.spec.unit if facts.spec else ""
    residuals = [p - t for t, p in zip(pairs.true, pairs.predicted, strict=True) if math.isfinite(p - t)]
    mean = sum(residuals) / len(residuals) if residuals else math.nan
    sd = sorted(map(abs, residuals))[len(residuals) // 2] if residuals else math.nan
    words = (
        f"Half of the predictions are within {format_number(sd)} of the truth; the mean error is {format_number(mean)}."
    )
    close = "Each dot is a row; on the dashed line the prediction is right."
    figures = [
        figure(plots.plot_predicted_by_true(pairs, unit), f"Predicted against true values. {words}", close),
        figure(plots.plot_residuals(pairs, unit), f"Predicted minus true, by predicted value. {words}", words),
    ]
    html = fill(
        TEMPLATE,
        target=facts.spec.target if facts.spec else "target",
        unit=unit,
        count=format_count(len(pairs.true), "row"),
        part=about.part,
        figures=Markup("").join(figures),
    )
    return Section("regression", "Predicted and true values", html)
