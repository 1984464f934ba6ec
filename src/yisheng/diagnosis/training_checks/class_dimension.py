"""A cross-entropy that takes another axis for that of the classes."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import NO_LOSS, Case

CLASS_AXIS, AXES = 1, 3
"""Axis of the classes of a cross-entropy, and axes of the scores of sequences."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None:
        return NO_LOSS
    return "" if case.pairing.loss == "nll" else Message("the loss is not a cross-entropy")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("memorization", "overfitting", "underfitting", "plateau", "missed-classes", "unused-rows"),
)
def class_dimension(case: Case) -> Iterator[Finding]:
    """Find scores (B, T, C) of a linear layer that a cross-entropy reads as (B, C, T), since T and C are equal.

    A linear layer has its features, here the classes, on the last axis; a cross-entropy expects them on the second
    one. With other numbers of steps and classes torch refuses such scores.

    Args:
        case: the shape and the origin of the scores that its loss compares.

    Source: PyTorch documentation, torch.nn.CrossEntropyLoss ("Shape": (N, C, d1, ...)).
    """
    pairing = case.pairing
    assert pairing is not None  # ensured by needs
    shape = pairing.shape
    is_ambiguous = len(shape) == AXES and shape[1] == shape[2] and pairing.softmax_axis == CLASS_AXIS
    if not is_ambiguous or not pairing.is_unmoved_linear:
        return
    yield Finding(
        "class-dimension",
        "error",
        {"shape": list(shape)},
        Message(
            "a linear layer gives scores of shape {shape}, whose classes are on the last axis; cross-entropy takes the "
            "second one for the classes, and compares the {steps} steps with each other",
            shape=str(tuple(shape)),
            steps=shape[1],
        ),
        Message(
            "use F.cross_entropy(scores.transpose(1, 2), targets), or F.cross_entropy(scores.flatten(0, 1), "
            "targets.flatten())"
        ),
        source=case.sources.get("loss", ""),
    )
