"""Targets far from where the output begins."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case

FAR, WIDE, LITTLE = 5.0, 10.0, 0.05


def why_not(case: Case) -> str:
    """What it lacks."""
    if case.pairing is None or case.pairing.loss not in REGRESSION_LOSSES:
        return "the loss is none of regression"
    return "" if case.collect_targets() is not None else "the loss keeps no targets"


@register(
    needs=why_not,
    when="during",
    cause="data",
    explains=(
        "high-learning-rate",
        "low-learning-rate",
        "dead-relu",
        "non-finite-loss",
        "exploding-gradients",
        "oscillation",
        "plateau",
    ),
)
def target_scale(case: Case) -> Iterator[Finding]:
    """Targets of regression far from 0 or widely spread, and the network is not yet better than their mean.

    Args:
        case: the targets of the steps that were looked at, and its losses.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.5; Bishop, "Neural networks for pattern
    recognition", 1995, section 8.2.
    """
    pairing, targets = case.pairing, case.collect_targets()
    assert pairing is not None  # asked by needs
    assert targets is not None
    if len(targets) < 2 or not case.learned_less_than(LITTLE):
        return
    mean, std = float(targets.double().mean()), float(targets.double().std())
    if not math.isfinite(mean + std) or not (std > WIDE or (abs(mean) > FAR * std and abs(mean) > FAR)):
        return
    yield Finding(
        "target-scale",
        "warning",
        {"mean": mean, "std": std, "loss at the end": case.final_loss, "loss of the mean": case.baseline_loss},
        f"the targets ({mean:.4g} on average, standard deviation {std:.4g}) lie far from what a network gives at the "
        "beginning, and it is not better than their mean yet",
        case.choose_remedy(
            "say target_scale=standard",
            "train on (target - mean) / standard deviation of the training rows, and turn the answers back",
        ),
        change=case.config_change(target_scale="standard"),
    )
