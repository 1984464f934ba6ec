"""Gradients that are cleared before they are used."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_PASSES, MIN_FRACTION = 10, 0.6
"""Backward passes after another one of the same update, and the fraction of them that found the gradients cleared: two
losses of two networks that are propagated one after another clear every second time at most."""

MAX_REPLACED_FRACTION = 0.5
"""Updates, of the recorded ones, whose gradient is not what the last backward pass left, clipped or not: a loop that
writes so many gradients itself has read those before."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.steps or (case.habits is not None and case.habits.other_optimizers):
        return Message("the optimizer makes no updates")
    passes = 0 if case.habits is None else case.habits.repeated_backwards
    return "" if passes >= MIN_PASSES else Message("each update has one backward pass")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("underfitting", "plateau", "low-learning-rate", "overfitting", "fixed-batches"),
)
def discarded_gradients(case: Case) -> Iterator[Finding]:
    """Find several backward passes for each update, between which the gradients are cleared: only the last one counts.

    Args:
        case: the backward passes of its recorded steps.

    Source: PyTorch documentation, "Automatic Mixed Precision examples", section "Gradient accumulation" (zero_grad
    after the update).
    """
    habits = case.habits
    assert habits is not None  # ensured by needs
    updates = max(1, len(case.records))
    if habits.cleared_backwards < MIN_FRACTION * habits.repeated_backwards or habits.repeated_backwards < 2 * updates:
        return
    if habits.replaced_updates > MAX_REPLACED_FRACTION * updates:
        return  # the loop adds up the gradients itself, as with a bound for each row
    yield Finding(
        "discarded-gradients",
        "error",
        {"backward passes": habits.repeated_backwards, "with cleared gradients": habits.cleared_backwards},
        Message(
            "of {passes} backward passes that followed another one of the same update, {cleared} found the gradients "
            "cleared: only the last batch of each update counts",
            passes=habits.repeated_backwards,
            cleared=habits.cleared_backwards,
        ),
        Message("call optimizer.zero_grad() after optimizer.step(), not before each backward pass"),
        source=case.sources.get("backward", ""),
    )
