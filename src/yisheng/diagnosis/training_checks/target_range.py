"""Targets that the output cannot reach."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import NO_LOSS, REGRESSION_LOSSES, Case
from yisheng.diagnosis.pairing import Pairing

RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, float("inf")), "softmax": (0.0, 1.0)}
MIN_OUTSIDE_FRACTION, TOLERANCE = 0.02, 1e-4
"""Fraction of the targets outside the range that is reported, and the distance that counts as rounding."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None:
        return NO_LOSS
    if not _bounding_activation(case.pairing) and not case.pairing.loss.startswith("binary_cross_entropy"):
        return "neither the loss nor a last activation bounds the targets"
    return "" if case.collect_targets() is not None else "the loss keeps no targets"


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=(
        "saturated-activation",
        "vanishing-gradients",
        "high-learning-rate",
        "low-learning-rate",
        "dead-relu",
        "target-scale",
        "no-gradient",
        "oscillation",
        "plateau",
    ),
)
def target_range(case: Case) -> Iterator[Finding]:
    """Find targets outside the range of the last activation, or outside 0 to 1 for binary cross-entropy.

    Args:
        case: the graph of its loss, and the targets.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.2.2.1.
    """
    pairing, targets = case.pairing, case.collect_targets()
    if pairing is None or targets is None or not targets.numel() or not bool(torch.isfinite(targets).all()):
        return
    activation = _bounding_activation(pairing)
    if pairing.loss.startswith("binary_cross_entropy"):
        rule, (low, high) = "binary cross-entropy requires targets from 0 to 1", (0.0, 1.0)
        remedy = "give the targets as 0 and 1"
    elif activation:
        low, high = pairing.clamp if activation == "clamp" and pairing.clamp else RANGES[activation]
        rule = f"the output of {activation} is between {low:g} and {high:g}"
        remedy = f"remove {activation} from the last layer, or scale the targets into its range"
    else:
        return
    outside = float(((targets < low - TOLERANCE) | (targets > high + TOLERANCE)).float().mean())
    if outside > MIN_OUTSIDE_FRACTION:
        smallest, largest = float(targets.min()), float(targets.max())
        yield Finding(
            "target-range",
            "error",
            {"fraction outside": outside, "least": smallest, "most": largest},
            f"{rule}, but {outside:.0%} of the targets are outside ({smallest:.4g} to {largest:.4g})",
            remedy,
        )


def _bounding_activation(pairing: Pairing) -> str:
    """Return the bounded activation between a regression loss and the last layer; empty if there is none."""
    last = pairing.operations[0] if pairing.operations else ""
    is_bounded = last in RANGES or (last == "clamp" and pairing.clamp is not None)
    return last if pairing.loss in REGRESSION_LOSSES and is_bounded else ""
