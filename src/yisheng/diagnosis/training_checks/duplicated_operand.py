"""A tensor that is joined with itself, or added to itself, where another one was meant."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.forward_pass import JOINING

MAX_LEARNED_FRACTION = 0.9
"""A training that has learned more than this lacks no second tensor."""
MAX_LEARNED_BY_SUM = 0.5
"""Likewise for a sum of a tensor with itself, which also writes twice the tensor."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return case.explain_missing_pass(MAX_LEARNED_FRACTION)


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "overfitting", "plateau", "missed-classes", "low-learning-rate"),
)
def duplicated_operand(case: Case) -> Iterator[Finding]:
    """Find features that a network joins with themselves before a layer, or adds to themselves.

    `torch.cat([x, x], 1)` has the shape of `torch.cat([x, skip], 1)`: the layer after it reads the same features
    twice, and the skip connection is lost. Copies of the input, of rows or of steps do not count.

    Args:
        case: its network in its last state, and rows of its inputs.

    Source: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015; He,
    Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016.
    """
    duplicates = () if case.forward_pass is None else case.forward_pass.duplicates
    joined = [duplicate for duplicate in duplicates if duplicate.function in JOINING]
    summed = duplicates if case.learned_less_than(MAX_LEARNED_BY_SUM) else ()
    duplicate = next(iter((*joined, *summed)), None)
    if duplicate is None:
        return
    is_joined = duplicate.function in JOINING
    yield Finding(
        "duplicated-operand",
        "warning",
        {"shape": list(duplicate.shape), "fraction of the loss gone": case.learned_fraction},
        Message(
            "torch.{function} joins features of shape {shape} with themselves, and the layer after it reads them twice",
            function=duplicate.function,
            shape=duplicate.shape,
        )
        if is_joined
        else Message(
            "{function} adds features of shape {shape} to themselves, or subtracts them from themselves",
            function=duplicate.function,
            shape=duplicate.shape,
        ),
        Message("join x with the other features, such as those of the skip connection: torch.cat([x, skip], 1)")
        if is_joined
        else Message("add what the layers return to what they were given: x + layers(x)"),
        source=duplicate.source,
    )
