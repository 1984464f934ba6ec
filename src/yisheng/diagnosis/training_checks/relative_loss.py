"""Errors that are divided by numbers near zero."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_problems import collect_forms

MIN_LOSSES = 5
"""Recorded losses, the share of whose smallest divisors varies from batch to batch."""
MIN_SHARE = 0.45
"""Weight that the tenth of the rows with the smallest divisors has. For targets between 1 and 2 it is a seventh, for a
lognormal distribution with a logarithm of standard deviation 1 it is 0.39, for numbers around zero a half."""
MIN_NEAR_ZERO, MIN_ROWS = 0.015, 4
"""Fraction and number of rows whose divisor is below a twentieth of the median: that of numbers around zero is 2.7%,
that of such a lognormal distribution 0.1%."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = sum(form.divisors > 0 for form in collect_forms(case))
    return "" if count >= MIN_LOSSES else Message("no error is divided by a number of its row")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "oscillation", "high-learning-rate", "plateau", "target-scale", "target-outliers"),
)
def relative_loss(case: Case) -> Iterator[Finding]:
    """Find a relative error of targets near zero, such as a mean absolute percentage error: few rows are all it sees.

    Args:
        case: the form of its recorded losses.

    Source: Hyndman and Koehler, "Another look at measures of forecast accuracy", 2006, section 2.2.
    """
    forms = [form for form in collect_forms(case) if form.divisors]
    weight = statistics.fmean(form.divisor_share for form in forms)
    rows, near_zero = sum(form.divisors for form in forms), sum(form.near_zero for form in forms)
    if weight < MIN_SHARE or near_zero < max(MIN_ROWS, MIN_NEAR_ZERO * rows):
        return
    yield Finding(
        "relative-loss",
        "warning",
        {"weight of a tenth of the rows": weight, "rows near zero": near_zero, "rows": rows},
        Message(
            "errors are divided by numbers of which some are near zero: a tenth of the rows has {share} of the weight, "
            "and the others hardly count",
            share=f"{weight:.0%}",
        ),
        Message(
            "use l1_loss or mse_loss, or divide by one number for all rows, such as the mean of the absolute targets; "
            "for positive targets learn their logarithm"
        ),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
