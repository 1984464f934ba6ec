"""Gradients that are added to those of steps before."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage, join_names

LEAST = 2


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(LEAST, case.recorded_updates, "updates that were looked at")


@register(
    needs=why_not,
    when="first",
    cause="structure",
    explains=(
        "high-learning-rate",
        "exploding-gradients",
        "dead-relu",
        "saturated-activation",
        "non-finite-loss",
        "oscillation",
    ),
)
def carried_gradients(case: Case) -> Iterator[Finding]:
    """A backward pass begins with gradients that an update has already used: they were not set to zero.

    Gradients that are collected on purpose over several batches are not meant: between them there is no update.

    Args:
        case: which parameters still held a used gradient, in the steps that were looked at.

    Source: PyTorch documentation, torch.optim.Optimizer.zero_grad.
    """
    times = [moment for moment in case.records if moment.carried_gradients]
    if len(times) < LEAST:
        return
    yield Finding(
        "carried-gradients",
        "error",
        {"steps": [moment.step for moment in times[:5]], "parameters": len(times[0].carried_gradients)},
        f"gradients of {join_names(times[0].carried_gradients, 2)} are added to those of the updates before, which were not cleared",
        "call optimizer.zero_grad() before loss.backward()",
    )
