"""Optimizers that are built again and again."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_OPTIMIZERS = 3
"""Other optimizers of the same parameters: a training in two phases has one."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = 0 if case.habits is None else case.habits.other_optimizers
    return "" if count else Message("no other optimizer updates the parameters")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("missing-update", "underfitting", "plateau", "oscillation", "low-learning-rate", "carried-gradients"),
)
def reset_optimizer(case: Case) -> Iterator[Finding]:
    """Find a loop that builds a new optimizer for the same parameters several times.

    Momentum and the squares of Adam start from zero each time, and a schedule goes on with an optimizer that makes no
    updates any more.

    Args:
        case: the optimizers that made updates.

    Source: Kingma and Ba, "Adam", 2015, algorithm 1 (the state is kept from step to step).
    """
    count = 0 if case.habits is None else case.habits.other_optimizers
    if count < MIN_OPTIMIZERS:
        return
    yield Finding(
        "reset-optimizer",
        "error",
        {"other optimizers": count, "updates of the given one": case.steps},
        Message(
            "{count} other optimizers updated the same parameters, one after another: each begins without momentum and "
            "without what was learned about the gradients, and the first one's schedule has no effect",
            count=count,
        ),
        Message("build the optimizer once, before the loop over the epochs"),
        source=case.sources.get("optimizer", ""),
    )
