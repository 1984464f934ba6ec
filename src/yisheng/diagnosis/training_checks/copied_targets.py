"""Targets that are the inputs themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.training_checks.refused_loss import CLASS_LOSSES
from yisheng.diagnosis.training_checks.refused_loss import explain_skip as explain_missing_calls

MIN_CALLS = 2
"""One batch of constant tokens, as of padding, may equal its targets at random; two do not."""
MIN_LOSSES = 3
"""Recorded losses whose targets are the inputs."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if any(feature.copies_input for feature in case.features) else explain_missing_calls(case)


@register(needs=explain_skip, when="first", cause="structure", explains=("instant-fit",))
def copied_targets(case: Case) -> Iterator[Finding]:
    """Find targets that equal the network's input, position by position: there is nothing to learn in copying.

    An autoencoder must not copy: one of its layers is narrower than the inputs, it draws random numbers, its loss has
    another term, or the inputs have noise that the targets do not have.

    Args:
        case: its losses, and its inputs.

    Source: Bengio, Ducharme, Vincent and Jauvin, "A neural probabilistic language model", 2003 (the next token);
    Vincent, Larochelle, Bengio and Manzagol, "Extracting and composing robust features with denoising autoencoders",
    2008 (the clean input is the target).
    """
    yield from _find_copied_numbers(case)
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


def _find_copied_numbers(case: Case) -> Iterator[Finding]:
    """Yield numbers that are compared with the inputs by a network that can copy them."""
    copied = [feature for feature in case.features if feature.copies_input]
    pairing = case.pairing
    if len(copied) < MIN_LOSSES or len(copied) < len(case.features) or pairing is None or not pairing.is_only_term:
        return
    if pairing.loss not in REGRESSION_LOSSES or not _can_copy(case):
        return
    yield Finding(
        "copied-targets",
        "warning",
        {"losses": len(copied), "loss at the end": case.final_loss},
        Message(
            "the targets are the network's inputs themselves, and no layer is narrower than these: the best it can "
            "learn is to copy them, noise included"
        ),
        Message(
            "compare the output with the clean rows, and add the noise to the inputs only; or make a layer narrower "
            "than the inputs, so that it has to find what they have in common"
        ),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )


def _can_copy(case: Case) -> bool:
    """Return whether no layer of a network is narrower than its inputs, and it draws no random numbers."""
    records = [record for record in case.records if record.inputs is not None and record.layers]
    if case.example is not None and len(case.example) > 1:  # a mask, say, of what it is to find out
        return False
    if not records or any(len(set(record.random_states[1:])) > 1 for record in records):
        return False
    inputs = records[0].inputs
    assert inputs is not None  # selected above
    values = math.prod(inputs.shape[1:])
    widths = [math.prod(layer.shape[1:]) for layer in records[0].layers]
    return min(widths) >= values > 1
