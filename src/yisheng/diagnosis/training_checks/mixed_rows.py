"""Predictions for a row that depend on the other rows of the batch."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_CHANGE = 0.01
"""Change of a prediction, in standard deviations of all predictions, larger than that of rounding: 32-bit sums in
another order differ by 1e-6, 16-bit ones by 1e-3."""
MAX_CHANCE = 0.1
"""Random change relative to the change by other rows; above it, chance is the reason."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    probe = case.probe
    return probe.reason or (Message("the rows of the example cannot be exchanged") if probe.other_rows is None else "")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("low-learning-rate", "plateau", "oscillation", "no-gradient", "vanishing-gradients"),
)
def mixed_rows(case: Case) -> Iterator[Finding]:
    """Find a network whose prediction for a row changes if the other rows of its batch are replaced.

    In evaluation mode rows are independent: an axis is confused with that of the batch, as in a recurrent network that
    expects (T, B, D), a softmax over axis 0, or a reshape across rows.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: PyTorch documentation, torch.nn.LSTM (batch_first); Chollet, "Deep learning with Python", 2021, section 2.2
    (the first axis is the samples).
    """
    probe = case.probe
    change = probe.other_rows or 0.0
    if change < MIN_CHANGE or (probe.chance or 0.0) > MAX_CHANCE * change:
        return
    recurrent = [
        name for name, module in case.model.named_modules() if isinstance(module, nn.RNNBase) and not module.batch_first
    ]
    yield Finding(
        "mixed-rows",
        "error",
        {"change in standard deviations": change, "rows": probe.rows},
        Message(
            "the prediction for a row changes by {change} standard deviations if the other rows of its "
            "batch are replaced: the network mixes rows",
            change=f"{change:.2g}",
        ),
        Message("use batch_first=True in {recurrent}: it reads the axis of the batch as time", recurrent=recurrent[0])
        if recurrent
        else Message("look for a softmax, mean, sort, flatten or reshape over axis 0, the axis of the batch"),
        source=case.sources.get("forward", ""),
    )
