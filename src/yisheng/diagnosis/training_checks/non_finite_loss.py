"""A loss that became NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import NO_LOSS, Case

MIN_GROWTH = 5.0
"""Largest over first loss from which on the training diverged, rather than dividing by zero."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if case.losses or case.nonfinite_loss is not None else NO_LOSS


@register(needs=explain_skip, when="during", cause="rate", explains=("dead-relu", "no-gradient"))
def non_finite_loss(case: Case) -> Iterator[Finding]:
    """Find the step at which the loss became NaN or infinite, and the first layer that gave such values.

    Args:
        case: its losses, and the layers of the recorded steps.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 10.11.1 (cliffs, clipping).
    """
    step = next((i for i, loss in enumerate(case.losses, 1) if not math.isfinite(loss)), None)
    nonfinite = case.nonfinite_loss
    if step is None and nonfinite is not None:
        step = nonfinite.step
    if step is None:
        return
    outputs = ((record.step, layer) for record in case.records for layer in record.layers)
    layer = next((f"{layer.name} at step {at}" for at, layer in outputs if not math.isfinite(layer.max_abs)), "")
    layer_clause = Message("; the first recorded layer with such values is {layer}", layer=layer) if layer else ""
    previous_loss = case.losses[step - 2] if 1 < step <= len(case.losses) + 1 else math.nan
    data_is_finite = nonfinite is None or (nonfinite.inputs and nonfinite.targets)
    yield Finding(
        "non-finite-loss",
        "error",
        {"step": step, "loss before": previous_loss, "layer": layer},
        Message(
            "the loss is not finite from step {step} on{layer_clause}{case}",
            step=step,
            layer_clause=layer_clause,
            case=_describe_origin(case),
        ),
        _choose_remedy(case),
        change=case.config_change(lr="x 0.1") if data_is_finite else {},
    )


def _describe_origin(case: Case) -> str:
    """Return where the first non-finite value came from, as the end of a sentence; empty if unknown."""
    nonfinite = case.nonfinite_loss
    if nonfinite is None:
        return ""
    if not nonfinite.targets:
        return Message("; its targets contain missing or infinite values")
    if nonfinite.inputs and nonfinite.weights:
        return Message("; inputs and weights were finite, so the loss itself produced it")
    return "" if nonfinite.weights else Message("; the update before it produced weights that are not finite")


def _choose_remedy(case: Case) -> str:
    nonfinite = case.nonfinite_loss
    if nonfinite is not None and not nonfinite.targets:
        return Message("before training, fill in the missing targets or drop their rows")
    largest = max((loss for loss in case.losses if math.isfinite(loss)), default=0.0)
    has_grown = case.losses and largest > MIN_GROWTH * abs(case.losses[0])
    if nonfinite is not None and not has_grown:
        return Message(
            "look for the logarithm or root of zero or a division by zero: add a small number, or use "
            "the stable form (log_softmax, binary_cross_entropy_with_logits)",
        )
    return case.choose_remedy(
        Message("lower lr, or use clip_norm=1"),
        Message("lower the learning rate, or clip the norm of the gradients to 1"),
    )
