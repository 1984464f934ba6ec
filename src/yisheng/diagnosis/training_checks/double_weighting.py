"""Weights of classes for batches in which the classes are balanced already."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_ROWS = 200
"""Targets whose class frequencies are known to a few percent."""
MIN_WEIGHT_RATIO = 3.0
"""Largest over smallest weight: smaller ones hardly move the predictions."""
MIN_SHARE, MAX_SHARE = 0.8, 1.5
"""Frequency of the class with the largest weight in the batches, relative to equal frequencies: a class that is more
frequent than that is not one that somebody corrected for."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not any(call.class_weights for call in case.loss_calls):
        return Message("the loss has no weights of classes")
    targets = case.collect_targets()
    enough = targets is not None and len(targets) >= MIN_ROWS
    return "" if enough else Message("it needs {count} recorded targets", count=MIN_ROWS)


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("initial-loss", "class-imbalance", "missed-classes", "oscillation"),
)
def double_weighting(case: Case) -> Iterator[Finding]:
    """Find a class that is drawn as often as the others, and has a larger weight in the loss besides.

    A sampler and weights each correct for a rare class; both together correct twice, and the class is predicted too
    often.

    Args:
        case: the calls of its loss function, and the targets of its recorded batches.

    Source: King and Zeng, "Logistic regression in rare events data", 2001, section 4 (one correction for the rate in
    the sample).
    """
    call = next(call for call in case.loss_calls if call.class_weights)
    targets = case.collect_targets()
    assert targets is not None  # ensured by needs
    weights = (1.0, call.class_weights[0]) if len(call.class_weights) == 1 else call.class_weights
    numbers = targets[(targets >= 0) & (targets == targets.round())].long()
    if len(numbers) < MIN_ROWS or int(numbers.max()) >= len(weights):
        return
    frequencies = torch.bincount(numbers, minlength=len(weights)).double() / len(numbers)
    largest = max(range(len(weights)), key=lambda number: weights[number])
    smallest = min(weight for weight in weights if weight >= 0)
    ratio = weights[largest] / smallest if smallest > 0 else float("inf")
    relative_frequency = float(frequencies[largest]) * len(weights)
    if ratio < MIN_WEIGHT_RATIO or not MIN_SHARE <= relative_frequency <= MAX_SHARE:
        return
    yield Finding(
        "double-weighting",
        "warning",
        {"class": largest, "weight": weights[largest], "ratio": ratio, "frequency": float(frequencies[largest])},
        Message(
            "class {name} has {weight} times the weight of another class, and {frequency} of the targets in the "
            "batches: it is not rare there, so the weight makes the network predict it too often",
            name=largest,
            weight=f"{ratio:.3g}",
            frequency=f"{float(frequencies[largest]):.0%}",
        ),
        Message("correct once: leave out the weights, or draw the rows as they are (shuffle=True without a sampler)"),
        source=call.source,
    )
