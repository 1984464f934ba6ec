"""Class numbers that begin at 1."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_CLASSES, MAX_CLASSES = 3, 1000
"""Units of the output; a vocabulary may well begin with a token that is never a target."""
MIN_ROWS_PER_CLASS = 5
"""Rows of each other class: class 0 is then not absent at random."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("the classes of a config are numbered from 0")
    pairing = case.pairing
    if pairing is None or pairing.loss != "nll" or len(pairing.shape) < 2:
        return Message("the loss does not compare class numbers")
    return (
        ""
        if MIN_CLASSES <= pairing.shape[1] <= MAX_CLASSES
        else Message("the output has {shape} units", shape=pairing.shape[1])
    )


@register(needs=explain_skip, when="first", cause="data")
def unused_class(case: Case) -> Iterator[Finding]:
    """Find targets in which class 0 never occurs, and every other class does: labels that begin at 1.

    Args:
        case: the targets of the recorded steps, and the number of its output units.

    Source: PyTorch documentation, torch.nn.CrossEntropyLoss (classes 0 to C - 1).
    """
    pairing, targets = case.pairing, case.collect_targets()
    if pairing is None or targets is None or targets.is_floating_point():
        return
    if _are_tokens(case) or any(call.ignore_index == 0 for call in case.loss_calls) or int(targets.min()) < 0:
        return
    units = pairing.shape[1]
    counts = targets.bincount(minlength=units)
    if len(counts) > units or int(counts[0]) or int(counts[1:].min()) < MIN_ROWS_PER_CLASS:
        return
    yield Finding(
        "unused-class",
        "warning",
        {"rows": len(targets), "units": units, "least rows of a class": int(counts[1:].min())},
        Message(
            "no target is 0, and all of 1 to {units} occur: the class numbers begin at 1, and the output "
            "for class 0 is never used",
            units=units - 1,
        ),
        Message("subtract 1 from the class numbers, and give the last layer {units} units", units=units - 1),
        source=case.sources.get("loss", ""),
    )


def _are_tokens(case: Case) -> bool:
    """Return whether the network reads tokens: number 0 is then a padding or start token that is never predicted."""
    layers = (layer for record in case.records for layer in record.layers)
    return any(isinstance(module, nn.Embedding) for module in case.model.modules()) or any(
        "Embedding" in layer.kind for layer in layers
    )
