"""Steps of a sequence that the prediction does not depend on."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.read_directions import HalfReadLayer
from yisheng.diagnosis.read_positions import ReadPositions

MIN_UNREAD_FRACTION = 0.5
"""Fraction of the steps at the end that are not read: pooling and strides may leave out a few."""
MAX_LEARNED_FRACTION = 0.9
"""A training that has learned more than this does not need the later steps."""
MAX_LEARNED_BY_DIRECTION = 0.5
"""Likewise for those that one of two directions has not read, since the other one has read them."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.is_finished:
        return Message("the training is not finished")
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return Message("the network has learned what its loss can show")
    if case.read_positions is None and case.half_read_layer is None:
        return Message("the inputs are not one tensor of sequences")
    return ""


@register(needs=explain_skip, when="during", cause="structure", explains=("underfitting", "overfitting", "plateau"))
def unread_steps(case: Case) -> Iterator[Finding]:
    """Find a network whose prediction for a sequence depends on its first steps only, or one direction of it does.

    The output of a recurrent network at step 0 knows that step only. Steps at which the rows do not differ, such as
    padding, do not count. Of two directions, the backward one begins at the last step: in `out[:, -1]` it knows that
    step only.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: PyTorch documentation, torch.nn.LSTM (output: the features of the last layer, for each t; how h_n differs
    from it with both directions).
    """
    positions = case.read_positions
    layer = case.half_read_layer
    finding = None if positions is None else _explain_unread(case, positions)
    if finding is None and layer is not None and case.learned_less_than(MAX_LEARNED_BY_DIRECTION):
        finding = _explain_direction(case, layer)
    if finding is not None:
        yield finding


def _explain_unread(case: Case, positions: ReadPositions) -> Finding | None:
    if positions.is_per_position:
        return None
    read = positions.influence[0]
    total = len(read)
    count = int(read.nonzero()[-1]) + 1 if bool(read.any()) else 0
    unread = positions.varies[count:]
    if not count or len(unread) < MIN_UNREAD_FRACTION * total or not bool(unread.all()):
        return None
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in case.model.modules())
    return Finding(
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


def _explain_direction(case: Case, layer: HalfReadLayer) -> Finding:
    direction, place = (Message("backward"), "out[:, -1]") if layer.is_last else (Message("forward"), "out[:, 0]")
    return Finding(
        "unread-steps",
        "warning",
        {"layer": layer.name, "steps": layer.steps, "fraction of the loss gone": case.learned_fraction},
        Message(
            "of the bidirectional {name} the network reads one step, {place}: there the {direction} direction has made "
            "one of {steps} steps",
            name=layer.name,
            place=place,
            direction=direction,
            steps=layer.steps,
        ),
        Message(
            "use the last states of both directions: out, h = rnn(x) (LSTM: out, (h, c)), then "
            "torch.cat([h[-2], h[-1]], 1); or the mean of out over the steps"
        ),
        source=case.sources.get("forward", ""),
    )
