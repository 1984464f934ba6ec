"""Targets that the output cannot reach."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import NO_LOSS, REGRESSION_LOSSES, Case

RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, float("inf")), "softmax": (0.0, 1.0)}
SOME, ROUNDING = 0.02, 1e-4
"""Share of the targets outside that is more than rounding, and by how much."""


def why_not(case: Case) -> str:
    """What it lacks."""
    if case.pairing is None:
        return NO_LOSS
    regression = case.pairing.loss in REGRESSION_LOSSES and case.pairing.operations[:1] in BENT
    if not regression and not case.pairing.loss.startswith("binary_cross_entropy"):
        return "neither the loss nor a last activation bounds the targets"
    return "" if case.collect_targets() is not None else "the loss keeps no targets"


@register(
    needs=why_not,
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
    """The last activation bounds the output, or the loss wants targets from 0 to 1, and some targets lie outside.

    Args:
        case: the graph of its loss, and the targets.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.2.2.1.
    """
    pairing, targets = case.pairing, case.collect_targets()
    if pairing is None or targets is None or not targets.numel():
        return
    if not bool(torch.isfinite(targets).all()):
        return
    if pairing.loss.startswith("binary_cross_entropy"):
        what, (low, high) = "binary cross-entropy wants targets from 0 to 1", (0.0, 1.0)
        remedy = "give the targets as 0 and 1"
    elif pairing.loss in REGRESSION_LOSSES and pairing.operations[:1] in BENT:
        bend = pairing.operations[0]
        low, high = RANGES[bend]
        what = f"the output goes through {bend} and stays within {low:g} to {high:g}"
        remedy = f"leave the {bend} out of the last layer, or scale the targets into its range"
    else:
        return
    outside = float(((targets < low - ROUNDING) | (targets > high + ROUNDING)).float().mean())
    if outside > SOME:
        least, most = float(targets.min()), float(targets.max())
        yield Finding(
            "target-range",
            "error",
            {"share outside": outside, "least": least, "most": most},
            f"{what}, but {outside:.0%} of the targets lie outside ({least:.4g} to {most:.4g})",
            remedy,
        )


BENT = tuple((name,) for name in RANGES)
