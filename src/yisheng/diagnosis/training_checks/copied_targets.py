"""Targets that are the inputs themselves."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.training_checks.refused_loss import CLASS_LOSSES, explain_skip

MIN_CALLS = 2
"""One batch of constant tokens, as of padding, may equal its targets at random; two do not."""


@register(needs=explain_skip, when="first", cause="structure", explains=("instant-fit",))
def copied_targets(case: Case) -> Iterator[Finding]:
    """Find token targets that equal the network's input, position by position: there is nothing to learn in copying.

    Args:
        case: its calls of loss functions, and its inputs.

    Source: Bengio, Ducharme, Vincent and Jauvin, "A neural probabilistic language model", 2003 (the next token).
    """
    calls = [call for call in case.loss_calls if call.function in CLASS_LOSSES and not call.error]
    copied = [call for call in calls if call.equals_input]
    if len(copied) < MIN_CALLS or len(copied) < len(calls):
        return
    yield Finding(
        "copied-targets",
        "error",
        {"calls": len(copied), "shape": list(copied[0].target_shape)},
        Message(
            "the targets are the network's inputs themselves, position by position: it learns to copy them",
        ),
        Message("shift the targets by one position: inputs tokens[:, :-1], targets tokens[:, 1:]"),
        source=copied[0].source,
    )
