"""Label smoothing that takes most of the weight from the labels."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_SMOOTHING = 0.5
"""Published trainings use 0.1 to 0.3; from one half on, the true class weighs less than all others together."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if any(call.label_smoothing for call in case.loss_calls) else Message("the labels are not smoothed")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("plateau", "underfitting", "low-learning-rate", "too-few-epochs", "missed-classes", "bounded-scores"),
)
def strong_smoothing(case: Case) -> Iterator[Finding]:
    """Find a cross-entropy whose ``label_smoothing`` is one half or more.

    Args:
        case: the calls of its loss function.

    Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, section 7 (0.1); Müller,
    Kornblith and Hinton, "When does label smoothing help?", 2019.
    """
    call = max(case.loss_calls, key=lambda call: call.label_smoothing)
    if call.label_smoothing < MIN_SMOOTHING:
        return
    smoothing = call.label_smoothing
    yield Finding(
        "strong-smoothing",
        "warning",
        {"label_smoothing": smoothing},
        Message(
            "label_smoothing={smoothing} spreads {fraction} of each label over all classes",
            smoothing=f"{smoothing:g}",
            fraction=f"{smoothing:.0%}",
        ),
        Message("use 0.1; label_smoothing is the part that is spread, not the part that is kept"),
        source=call.source,
    )
