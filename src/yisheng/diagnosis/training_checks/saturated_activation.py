"""Sigmoid and tanh units that are stuck at their ends."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

RUNNING, UNITS, SHARE = 3, 0.5, 0.9
LITTLE = 0.9


def why_not(case: Case) -> str:
    """What it lacks."""
    seen = sum(any(bend.low_fraction is not None for bend in moment.activations) for moment in case.records)
    return describe_shortage(RUNNING, seen, "steps with sigmoid or tanh in them") if seen else "no sigmoid or tanh was seen"


@register(needs=why_not, when="during", cause="rate", explains=("vanishing-gradients", "plateau"))
def saturated_activation(case: Case) -> Iterator[Finding]:
    """Most units of a hidden layer lie within 3% of an end for nearly all inputs, and the loss hardly falls.

    Their slope there is next to nothing, so nothing below them learns.

    Args:
        case: the shares near the ends in the steps that were looked at.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    section 3.
    """
    if not case.learned_less_than(LITTLE):
        return
    looked = [moment for moment in case.records if moment.activations]
    names = dict.fromkeys(bend.name for moment in looked for bend in moment.activations if bend.low_fraction is not None)
    for name in names:
        seen = [b for m in looked for b in m.activations if b.name == name and b.low_fraction is not None and b.high_fraction is not None]
        last = seen[-RUNNING:]
        if len(last) < RUNNING or len({len(b.low_fraction) for b in last if b.low_fraction is not None}) > 1:
            continue
        ends = torch.stack([b.low_fraction + b.high_fraction for b in last if b.low_fraction is not None and b.high_fraction is not None])
        stuck = float((ends.mean(0) > SHARE).float().mean())
        if stuck >= UNITS:
            yield Finding(
                "saturated-activation",
                "error",
                {"layer": name, "kind": last[0].kind, "share stuck": stuck},
                f"{stuck:.0%} of the {last[0].kind} units {name} are stuck at an end of their range",
                case.choose_remedy(
                    "say init=xavier-uniform and scale=standard, or activation=relu",
                    "use smaller initial weights (Xavier), scale the inputs, or use relu",
                ),
                change=case.config_change(init="xavier-uniform", scale="standard"),
            )
            return
