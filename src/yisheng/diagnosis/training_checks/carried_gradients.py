"""Gradients that are added to those of earlier updates."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage, join_names

MIN_UPDATES = 2
"""In the first update there are no gradients of an earlier one; a single second one may be a test of the loop."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_UPDATES, case.recorded_updates, Message("recorded updates"))


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=(
        "high-learning-rate",
        "exploding-gradients",
        "dead-relu",
        "saturated-activation",
        "non-finite-loss",
        "oscillation",
        "unbounded-loss",
    ),
)
def carried_gradients(case: Case) -> Iterator[Finding]:
    """Find backward passes that begin with gradients of an earlier update, because nobody set them to zero.

    Gradient accumulation over several batches is not reported: there is no update between its backward passes. A loss
    that trains an actor or a generator through the recorded network leaves gradients there as well.

    Args:
        case: the parameters that held a used gradient in the recorded steps.

    Source: PyTorch documentation, torch.optim.Optimizer.zero_grad.
    """
    affected = [record for record in case.records if record.carried_gradients]
    if len(affected) < MIN_UPDATES:
        yield from _find_gradients_of_another_loss(case)
        return
    names = affected[0].carried_gradients
    yield Finding(
        "carried-gradients",
        "error",
        {"steps": [record.step for record in affected[:5]], "parameters": len(names)},
        Message(
            "the gradients of {names} are added to those of earlier updates, which were not cleared",
            names=join_names(names, 2),
        ),
        Message("call optimizer.zero_grad() before loss.backward()"),
    )


def _find_gradients_of_another_loss(case: Case) -> Iterator[Finding]:
    """Yield gradients that the loss of another network has left in the recorded one, right before its update."""
    affected = [record for record in case.records if record.foreign_gradients]
    if len(affected) < MIN_UPDATES:
        return
    names = affected[0].foreign_gradients
    yield Finding(
        "carried-gradients",
        "error",
        {"steps": [record.step for record in affected[:5]], "parameters": len(names)},
        Message(
            "the gradients of {names} still hold those of the loss of another network, which was updated in between: "
            "this network follows both losses",
            names=join_names(names, 2),
        ),
        Message(
            "call zero_grad() of this network's optimizer right before its loss.backward(), after the update of the "
            "other network"
        ),
    )
