"""Letters with the number of the blank of a CTC loss."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_BLANKS = 1
"""Blanks among the targets: a text has none, however it is aligned."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_calls = any(call.function == "ctc_loss" and not call.error for call in case.loss_calls)
    return "" if has_calls else Message("no call of a CTC loss was seen")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("plateau", "underfitting", "missed-classes", "low-learning-rate", "non-finite-loss"),
)
def blank_class(case: Case) -> Iterator[Finding]:
    """Find targets of a CTC loss that are its blank, which is removed from what the network writes.

    Padding behind the length of a target does not count.

    Args:
        case: the calls of its loss function.

    Source: PyTorch documentation, torch.nn.CTCLoss (targets cannot be blank); Graves, Fernández, Gomez and Schmidhuber,
    "Connectionist temporal classification", 2006, section 3.1.
    """
    calls = [call for call in case.loss_calls if call.function == "ctc_loss" and not call.error]
    count = sum(call.blanks for call in calls)
    if count < MIN_BLANKS:
        return
    yield Finding(
        "blank-class",
        "error",
        {"calls": len(calls), "targets that are blank": count},
        Message(
            "{count} targets of the CTC loss have the number of its blank: a blank stands for no letter, so that these "
            "letters can never be written",
            count=count,
        ),
        Message(
            "number the letters from 1 and leave 0 to the blank, or give another number as the blank: "
            "nn.CTCLoss(blank=C - 1); the last layer has one unit more than there are letters. Padding belongs behind "
            "the target lengths"
        ),
        source=next(call.source for call in calls if call.blanks),
    )
