"""A few regression targets that are far from all others."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.wording import describe_shortage, format_fraction

MIN_TARGETS = 64
"""Targets without which the quartiles are not known."""
MIN_DISTANCE = 1000.0
"""Distance to the median in interquartile ranges: even heavy tails, as of incomes, end at some hundreds."""
MAX_FRACTION = 0.05
"""Above a twentieth the extreme values are a second group of rows, not a code for missing ones."""
SQUARED = ("mse", "squared", "smooth_l1", "huber")


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or case.pairing.loss not in REGRESSION_LOSSES:
        return Message("the loss is not a regression loss")
    targets = case.collect_targets()
    return describe_shortage(MIN_TARGETS, 0 if targets is None else len(targets), Message("targets"))


@register(
    needs=explain_skip,
    when="first",
    cause="data",
    explains=(
        "target-scale", "high-learning-rate", "oscillation", "plateau", "exploding-gradients", "dead-relu",
        "non-finite-loss", "low-learning-rate",
    ),
)  # fmt: skip
def target_outliers(case: Case) -> Iterator[Finding]:
    """Find targets a thousand interquartile ranges from the median: missing values written as numbers, or other units.

    Args:
        case: the targets of the recorded steps.

    Source: Tukey, "Exploratory data analysis", 1977, section 2 (fences in interquartile ranges).
    """
    targets = case.collect_targets()
    assert targets is not None  # ensured by needs
    values = targets.double()
    values = values[torch.isfinite(values)]
    low, median, high = (float(values.quantile(q)) for q in (0.25, 0.5, 0.75))
    if not high > low:
        return
    is_far = (values - median).abs() > MIN_DISTANCE * (high - low)
    fraction = float(is_far.double().mean())
    if not 0 < fraction <= MAX_FRACTION:
        return
    outliers = values[is_far]
    value = float(outliers[0])
    is_constant = bool((outliers == value).all())
    numbers = {
        "fraction": format_fraction(fraction),
        "value": f"{value:g}",
        "low": f"{low:.3g}",
        "high": f"{high:.3g}",
    }
    yield Finding(
        "target-outliers",
        "error",
        {"fraction": fraction, "value": value, "median": median, "interquartile range": high - low},
        Message(
            "{fraction} of the targets are {value}, and half of all are between {low} and {high}: they decide the loss",
            **numbers,
        )
        if is_constant
        else Message(
            "{fraction} of the targets are {value} or as far, and half of all are between {low} and {high}: they "
            "decide the loss",
            **numbers,
        ),
        Message("drop these rows, or fill them in: {value} looks like a missing value", value=f"{value:g}")
        if is_constant
        else Message(
            "check the units and sources of these rows; for true outliers, use the logarithm or huber_loss",
        ),
        source=case.sources.get("loss", ""),
    )
