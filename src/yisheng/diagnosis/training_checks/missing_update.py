"""Backward passes without an update."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_LOSSES = 8
"""Backward passes before a missing update is reported: gradients may be accumulated over a few."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(MIN_LOSSES, len(case.losses), Message("losses"))


@register(needs=explain_skip, when="first", cause="structure", explains=("no-gradient", "carried-gradients"))
def missing_update(case: Case) -> Iterator[Finding]:
    """Find losses that are propagated back without any update.

    Args:
        case: its backward passes and updates.

    Source: PyTorch documentation, torch.optim, "Taking an optimization step".
    """
    if case.steps == 0 and case.begun_updates == 0:
        yield Finding(
            "missing-update",
            "error",
            {"backward passes": len(case.losses), "updates": 0},
            Message("{count} backward passes and no update: optimizer.step() is not called", count=len(case.losses)),
            Message("call optimizer.step() after loss.backward()"),
        )
