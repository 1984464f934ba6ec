"""A few regression targets that are far from all others."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.registry import register
from yisheng.core.types import Finding
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
        return "the loss is not a regression loss"
    targets = case.collect_targets()
    return describe_shortage(MIN_TARGETS, 0 if targets is None else len(targets), "targets")


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
    yield Finding(
        "target-outliers",
        "error",
        {"fraction": fraction, "value": value, "median": median, "interquartile range": high - low},
        f"{format_fraction(fraction)} of the targets are {value:g}"
        + ("" if is_constant else " or as far")
        + f", and half of all are between {low:.3g} and {high:.3g}: they decide the loss",
        f"drop these rows, or fill them in: {value:g} looks like a missing value"
        if is_constant
        else "check the units and sources of these rows; for true outliers, use the logarithm or huber_loss",
        source=case.sources.get("loss", ""),
    )
