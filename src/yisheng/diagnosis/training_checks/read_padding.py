"""Padding that takes part in the predictions."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_CHANGE = 0.1
"""Change of the predictions, in their standard deviations, without the padding that all padded rows have."""
MAX_LEARNED_FRACTION = 0.5
"""A training that has learned more than this copes with the padding."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    probe = case.probe
    return probe.reason or (Message("no padded rows of tokens were seen") if probe.padding is None else "")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("low-learning-rate", "plateau", "vanishing-gradients", "inputs", "missing-positions"),
)
def read_padding(case: Case) -> Iterator[Finding]:
    """Find one prediction per row that changes if padding is left out, while much is left to learn.

    The last state of a recurrent network has forgotten the words after many padding tokens; attention and means over
    padding are diluted.

    Args:
        case: its network in its last state, and rows of tokens.

    Source: PyTorch documentation, torch.nn.utils.rnn.pack_padded_sequence; Vaswani et al., "Attention is all you need",
    2017, section 3.2.3 (masking).
    """
    probe = case.probe
    if (probe.padding or 0.0) < MIN_CHANGE or not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    yield Finding(
        "read-padding",
        "warning",
        {"change in standard deviations": probe.padding, "padding token": probe.padding_token},
        Message(
            "the predictions change by {padding} standard deviations if padding (token {padding_token}) "
            "is left out: the network reads it as words",
            padding=f"{probe.padding:.2g}",
            padding_token=probe.padding_token,
        ),
        Message(
            "use the state of the last word (pack_padded_sequence), and a mask of the padding in "
            "attention (key_padding_mask) and means",
        ),
        source=case.sources.get("forward", ""),
    )
