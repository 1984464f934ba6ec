"""Rows of an output that are combined with all rows of something else."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is not None and case.pairing.expanded_shape is not None:
        return Message("the loss itself compares each row with all rows")
    return "" if case.broadcasts else Message("no rows were combined with all rows")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=(
        *("loss-pairing", "underfitting", "plateau", "low-learning-rate", "constant-outputs"),
        *("saturated-activation", "memorization", "overfitting"),
    ),
)
def broadcast_loss(case: Case) -> Iterator[Finding]:
    """Find an output ``(N,)`` that is multiplied with, or subtracted from, a column ``(N, 1)``, or the other way round.

    The same holds for images ``(N, 1, H, W)`` and masks ``(N, H, W)``. The result is ``(N, N)``, or ``(N, N, H, W)``:
    each row is combined with the number of every other row, and a mean or a sum hides it. Two outputs may be meant to
    be compared pair by pair; an output and given numbers are not.

    Args:
        case: what its loss was computed from.

    Source: NumPy documentation, "Broadcasting".
    """
    first = case.broadcasts[0]
    yield Finding(
        "broadcast-loss",
        "error",
        {"output": list(first.output), "other": list(first.operand), "times": len(case.broadcasts)},
        Message(
            "values of the output of shape {output} are combined with numbers of shape {other}: the result has the "
            "shape {result}, each row with the number of every other row",
            output=first.output,
            other=first.operand,
            result=tuple(torch.broadcast_shapes(first.output, first.operand)),
        ),
        Message("give both the same shape: squeeze(1) or view_as before they are combined"),
        source=first.source,
    )
