"""A loss that is not a number any more."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import NO_LOSS, Case


def why_not(case: Case) -> str:
    """What it lacks."""
    return "" if case.losses or case.nonfinite_loss is not None else NO_LOSS


@register(needs=why_not, when="during", cause="rate", explains=("dead-relu", "no-gradient"))
def non_finite_loss(case: Case) -> Iterator[Finding]:
    """The loss became NaN or infinite.

    Args:
        case: its losses, and the layers of the steps that were looked at.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 10.11.1 (cliffs, clipping).
    """
    at = next((i for i, loss in enumerate(case.losses, 1) if not math.isfinite(loss)), None)
    if at is None and case.nonfinite_loss is None:
        return
    if at is None:
        at = case.nonfinite_loss.step if case.nonfinite_loss is not None else 1
    layer = next(
        (f"{u.name} at step {m.step}" for m in case.records for u in m.layers if not math.isfinite(u.max_abs)), ""
    )
    where = f"; the first layer that was seen to give such values is {layer}" if layer else ""
    before = case.losses[at - 2] if 1 < at <= len(case.losses) + 1 else math.nan
    yield Finding(
        "non-finite-loss",
        "error",
        {"step": at, "loss before": before, "layer": layer},
        f"the loss is not finite from step {at} on{where}{_origin(case)}",
        _remedy(case),
        change=case.config_change(lr="x 0.1") if case.nonfinite_loss is None or (case.nonfinite_loss.inputs and case.nonfinite_loss.targets) else {},
    )


def _origin(case: Case) -> str:
    if case.nonfinite_loss is None:
        return ""
    if not case.nonfinite_loss.targets:
        return "; its targets hold missing or infinite values"
    if case.nonfinite_loss.inputs and case.nonfinite_loss.weights:
        return "; inputs and weights were finite, so the loss itself made it"
    return "; the update before had made weights that are not finite" if not case.nonfinite_loss.weights else ""


def _remedy(case: Case) -> str:
    broken = case.nonfinite_loss
    if broken is not None and not broken.targets:
        return "fill the targets in or leave those rows out, before training"
    grew = case.losses and max((x for x in case.losses if math.isfinite(x)), default=0.0) > 5 * abs(case.losses[0])
    if broken is not None and not grew:
        return (
            "look for the logarithm or root of zero or a division by zero: add a small number, or use the stable form "
            "(log_softmax, binary_cross_entropy_with_logits)"
        )
    return case.choose_remedy("lower lr, or say clip_norm=1", "lower the learning rate, or clip the gradients' norm to 1")
