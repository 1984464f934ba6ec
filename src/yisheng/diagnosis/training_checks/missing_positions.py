"""Attention without positions."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MAX_CHANGE = 1e-3
"""Change of the predictions, in their standard deviations, if the tokens come in reverse order: none but rounding."""
MAX_LEARNED_FRACTION = 0.3
"""A training that has learned more than this does not need the order."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    probe = case.probe
    return probe.reason or (Message("the network does not use attention to tokens") if probe.order is None else "")


@register(needs=explain_skip, when="during", cause="structure", explains=("low-learning-rate", "plateau", "inputs"))
def missing_positions(case: Case) -> Iterator[Finding]:
    """Find a network of attention whose predictions do not depend on the order of the tokens, and that learns little.

    Args:
        case: its network in its last state, and rows of tokens.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.5.
    """
    if case.probe.order is None or case.probe.order > MAX_CHANGE or not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    yield Finding(
        "missing-positions",
        "warning",
        {"change in standard deviations": case.probe.order, "fraction of the loss gone": case.learned_fraction},
        Message(
            "the predictions are the same if the tokens of a row come in reverse order, and little is "
            "learned: the network does not know the positions",
        ),
        Message("add a positional encoding to the embedded tokens, such as nn.Parameter(torch.zeros(T, D))"),
        source=case.sources.get("forward", ""),
    )
