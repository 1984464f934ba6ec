"""Backward passes without an update."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_LOSSES = 8
"""Backward passes before a missing update is reported: gradients may be accumulated over a few."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if _has_only_evaluations(case):
        return ""
    return describe_shortage(MIN_LOSSES, len(case.losses), Message("losses"))


@register(needs=explain_skip, when="first", cause="structure", explains=("no-gradient", "carried-gradients"))
def missing_update(case: Case) -> Iterator[Finding]:
    """Find losses that are propagated back without any update.

    Args:
        case: its backward passes and updates.

    Source: PyTorch documentation, torch.optim, "Taking an optimization step".
    """
    if _has_only_evaluations(case):
        yield Finding(
            "missing-update",
            "error",
            {"backward passes": 0, "updates": 0},
            Message("there were evaluations and no update: the loop over the training rows was never entered"),
            Message(
                "look at len(loader): with drop_last=True and a batch larger than the data there is no batch; an "
                "iterator that is used up gives none either"
            ),
        )
    elif case.steps == 0 and case.begun_updates == 0:
        yield Finding(
            "missing-update",
            "error",
            {"backward passes": len(case.losses), "updates": 0},
            Message("{count} backward passes and no update: optimizer.step() is not called", count=len(case.losses)),
            Message("call optimizer.step() after loss.backward()"),
        )


def _has_only_evaluations(case: Case) -> bool:
    is_idle = not case.losses and not case.steps and not case.begun_updates
    return case.is_finished and is_idle and any(case.course.series.values())
