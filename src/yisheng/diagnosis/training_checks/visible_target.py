"""Next tokens that the network can see."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_CHANGE = 1e-3
"""Change of earlier predictions, in standard deviations: with a causal mask it is exactly 0."""
MIN_EQUAL_FRACTION = 0.99
"""Targets that are the next input token, or nearly: then the network predicts its own input."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    probe = case.probe
    return probe.reason or (Message("the network predicts no tokens") if probe.next_token is None else "")


@register(needs=explain_skip, when="during", cause="structure", explains=("instant-fit", "inputs", "plateau"))
def visible_target(case: Case) -> Iterator[Finding]:
    """Find a network that predicts the next token at each position and sees it: the causal mask is missing.

    The targets are the inputs shifted by one, and a prediction changes if a later token changes.

    Args:
        case: its network in its last state, rows of tokens and their targets.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.3.
    """
    change = case.probe.next_token or 0.0
    if change < MIN_CHANGE or not _predicts_next(case):
        return
    yield Finding(
        "visible-target",
        "error",
        {"change in standard deviations": change},
        Message(
            "the targets are the next tokens, and the predictions change if a later token changes: the "
            "network sees what it must predict",
        ),
        Message(
            "use a causal mask: nn.Transformer.generate_square_subsequent_mask(T), or is_causal=True in "
            "scaled_dot_product_attention",
        ),
        source=case.sources.get("forward", ""),
    )


def _predicts_next(case: Case) -> bool:
    """Return whether the targets of the example are its tokens one position later."""
    targets = next((record.targets for record in reversed(case.records) if record.targets is not None), None)
    if case.example is None or targets is None or targets.is_floating_point():
        return False
    tokens = case.example[0]
    if tokens.ndim != 2 or targets.numel() < tokens.numel():
        return False
    expected = targets.flatten()[: tokens.numel()].reshape(tokens.shape).to(tokens.device)
    equal = expected[:, :-1] == tokens[:, 1:]
    return bool(torch.mean(equal.float()) >= MIN_EQUAL_FRACTION)
