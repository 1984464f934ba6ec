"""Which part of a network an optimizer trains, if the others stay as they were pretrained."""

from __future__ import annotations

from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case

MAX_TRAINED = 0.5
"""Fraction of the weights in the optimizer, from which on a network is trained as a whole, and not its last layers."""


def explain_trained_part(case: Case) -> str:
    """Return the remedy for a network of which most weights are not trained; empty if they are.

    What is not trained gives features of other rows, so that trees on the inputs themselves may be better without a
    mistake in the loop.

    Args:
        case: the training.
    """
    weights = {id(p): p.numel() for p in case.model.parameters()}
    groups = case.optimizer.param_groups
    trained = sum(weights.get(id(p), 0) for group in groups for p in group["params"] if p.requires_grad)
    if trained >= MAX_TRAINED * sum(weights.values()):
        return ""
    return Message(
        "the optimizer has {trained} of {weights} weights: train more layers if the features of the others are too few "
        "for these rows",
        trained=f"{trained:,}",
        weights=f"{sum(weights.values()):,}",
    )
