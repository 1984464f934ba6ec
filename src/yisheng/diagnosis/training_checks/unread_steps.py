"""Steps of a sequence that the prediction does not depend on."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case

MIN_UNREAD_FRACTION = 0.5
"""Fraction of the steps at the end that are not read: pooling and strides may leave out a few."""
MAX_LEARNED_FRACTION = 0.9
"""A training that has learned more than this does not need the later steps."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.is_finished:
        return Message("the training is not finished")
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return Message("the network has learned what its loss can show")
    return Message("the inputs are not one tensor of sequences") if case.read_positions is None else ""


@register(needs=explain_skip, when="during", cause="structure", explains=("underfitting", "overfitting", "plateau"))
def unread_steps(case: Case) -> Iterator[Finding]:
    """Find a network whose prediction for a sequence depends on its first steps only.

    The output of a recurrent network at step 0 knows that step only. Steps at which the rows do not differ, such as
    padding, do not count.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: PyTorch documentation, torch.nn.LSTM (output: the features of the last layer, for each t).
    """
    positions = case.read_positions
    assert positions is not None  # ensured by needs
    if positions.is_per_position:
        return
    read = positions.influence[0]
    total = len(read)
    count = int(read.nonzero()[-1]) + 1 if bool(read.any()) else 0
    unread = positions.varies[count:]
    if not count or len(unread) < MIN_UNREAD_FRACTION * total or not bool(unread.all()):
        return
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in case.model.modules())
    yield Finding(
        "unread-steps",
        "error" if is_recurrent else "warning",
        {"steps that are read": count, "of": total, "fraction of the loss gone": case.learned_fraction},
        Message(
            "the predictions depend on the first {count} of {total} steps only: replacing all later ones changes "
            "nothing",
            count=count,
            total=total,
        ),
        Message("use the output of the last step, out[:, -1], or the last state; out[:, 0] knows only the first step")
        if is_recurrent
        else Message("look in forward for an index or a slice that cuts off the later steps"),
        source=case.sources.get("forward", ""),
    )
