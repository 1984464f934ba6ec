"""Backward passes without an update."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

LEAST = 8
"""Backward passes before one speaks: gradients may be collected over a few."""


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(LEAST, len(case.losses), "losses")


@register(needs=why_not, when="first", cause="structure", explains=("no-gradient", "carried-gradients"))
def missing_update(case: Case) -> Iterator[Finding]:
    """Losses are propagated back, but nothing is ever updated.

    Args:
        case: its backward passes and updates.

    Source: PyTorch documentation, torch.optim, "Taking an optimization step".
    """
    if case.steps == 0 and case.begun_updates == 0:
        yield Finding(
            "missing-update",
            "error",
            {"backward passes": len(case.losses), "updates": 0},
            f"{len(case.losses)} backward passes and not one update: optimizer.step() is not called",
            "call optimizer.step() after loss.backward()",
        )
