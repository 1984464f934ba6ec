"""Units that have stopped to answer."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage
from yisheng.diagnosis.dead_units import MIN_STEPS, find_dead_layer

LITTLE = 0.5


def why_not(case: Case) -> str:
    """What it lacks."""
    seen = sum(any(bend.zero_fraction is not None for bend in moment.activations) for moment in case.records)
    return describe_shortage(MIN_STEPS, seen, "steps with relus in them") if seen else "no relu was seen"


@register(needs=why_not, when="during", cause="rate", explains=("vanishing-gradients", "plateau"))
def dead_relu(case: Case) -> Iterator[Finding]:
    """Nearly all relu units of a layer are zero for every sample, three times running, and little is learned.

    Args:
        case: the shares of zeros in the steps that were looked at.

    Source: Lu, Shin, Su and Karniadakis, "Dying ReLU and initialization", 2020, section 2.
    """
    found = find_dead_layer(case) if case.learned_less_than(LITTLE) else None
    if found is not None:
        yield Finding(
            "dead-relu",
            "error",
            {"layer": found.layer, "share dead": found.fraction, "samples": found.samples},
            f"{found.fraction:.0%} of the relu units {found.layer} are zero for all of the last {found.samples} samples"
            + (", as they were before the first update" if found.dead_from_start else ""),
            case.choose_remedy(
                "say init=kaiming-normal" if found.dead_from_start else "lower lr, and say init=kaiming-normal",
                "initialise by Kaiming with biases of zero, or use leaky relu"
                if found.dead_from_start
                else "lower the learning rate, initialise by Kaiming with biases of zero, or use leaky relu",
            ),
            change=case.config_change(init="kaiming-normal", **({} if found.dead_from_start else {"lr": "x 0.1"})),
        )
