"""A focal loss that weights the rows that are predicted well."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_problems import MIN_LOSSES, collect_forms


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_powers = any(form.focal_side for form in collect_forms(case))
    return "" if has_powers else Message("no row is weighted by a power of its probability")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("opposed-score", "permuted-classes", "missed-classes", "underfitting", "constant-outputs", "plateau"),
)
def focal_weighting(case: Case) -> Iterator[Finding]:
    """Find rows whose loss -log p is multiplied with a power of p instead of 1 - p: missed rows count for nothing.

    Args:
        case: the form of its recorded losses.

    Source: Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", 2017, equation 4.
    """
    sides = [form.focal_side for form in collect_forms(case) if form.focal_side]
    if len(sides) < MIN_LOSSES or max(sides) > 0:
        return
    yield Finding(
        "focal-weighting",
        "error",
        {"losses": len(sides), "loss at the end": case.final_loss},
        Message(
            "the loss -log p of each row is multiplied with a power of p, the probability of its label: rows that are "
            "missed count for nothing, and those that are right already for everything"
        ),
        Message("multiply with (1 - p) ** gamma, as the focal loss does"),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
