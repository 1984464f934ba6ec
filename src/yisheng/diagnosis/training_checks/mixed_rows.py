"""Predictions for a row that depend on the other rows of the batch."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.attention_axes import find_attention_over_rows
from yisheng.diagnosis.case import Case

MIN_CHANGE = 0.01
"""Change of a prediction, in standard deviations of all predictions, larger than that of rounding: 32-bit sums in
another order differ by 1e-6, 16-bit ones by 1e-3."""
MAX_CHANCE = 0.1
"""Random change relative to the change by other rows; above it, chance is the reason."""
MAX_LEARNED_FRACTION = 0.3
"""A training that has learned more than this may attend to other rows on purpose."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    probe = case.probe
    is_constant = probe.other_rows is None and probe.between_rows == 0
    is_examined = probe.other_rows is not None or is_constant
    return probe.reason or ("" if is_examined else Message("the rows of the example cannot be exchanged"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        *("low-learning-rate", "plateau", "oscillation", "no-gradient", "vanishing-gradients"),
        *("missing-positions", "untrained-vectors", "constant-outputs", "underfitting"),
    ),
)
def mixed_rows(case: Case) -> Iterator[Finding]:
    """Find a network whose prediction for a row changes if the other rows of its batch are replaced.

    In evaluation mode rows are independent: an axis is confused with that of the batch, as in a recurrent network that
    expects (T, B, D), a softmax over axis 0, or a reshape across rows. Attention over the axis of the batch counts even
    if the prediction does not change, as that of a class token which never sees the other tokens of its row.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: PyTorch documentation, torch.nn.LSTM (batch_first); Chollet, "Deep learning with Python", 2021, section 2.2
    (the first axis is the samples).
    """
    probe = case.probe
    change = probe.other_rows or 0.0
    is_mixed = change >= MIN_CHANGE and (probe.chance or 0.0) <= MAX_CHANCE * change
    if not is_mixed and not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    attention = find_attention_over_rows(case.model, case.example)
    if attention:
        yield _explain_attention(case, attention, change)
    if attention or not is_mixed:
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


def _explain_attention(case: Case, name: str, change: float) -> Finding:
    return Finding(
        "mixed-rows",
        "error",
        {"layer": name, "rows": case.probe.rows, "change in standard deviations": change},
        Message(
            "{name} expects (T, B, D) and reads (B, T, D): each row attends to the other rows of its batch, and not to "
            "its own tokens",
            name=name,
        ),
        Message("use batch_first=True in the attention or transformer layer of {name}", name=name),
        source=case.sources.get("forward", ""),
    )
