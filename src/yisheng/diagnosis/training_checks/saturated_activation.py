"""Sigmoid and tanh units at the ends of their range."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_STEPS = 3
"""Recorded steps that are required: one batch may be unusual."""
MIN_SATURATED_UNITS, MIN_SATURATED_SAMPLES = 0.5, 0.9
"""Fraction of a layer's units, and for each of them fraction of the samples, that are at an end of the range."""
MAX_LEARNED_FRACTION = 0.9
"""A training that has learned more than this is not reported."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = sum(any(unit.low_fraction is not None for unit in record.activations) for record in case.records)
    if not count:
        return Message("no sigmoid or tanh was recorded")
    return describe_shortage(MIN_STEPS, count, Message("recorded steps with sigmoid or tanh"))


@register(needs=explain_skip, when="during", cause="rate", explains=("vanishing-gradients", "plateau"))
def saturated_activation(case: Case) -> Iterator[Finding]:
    """Find a hidden layer with most units within 3% of an end for almost all inputs, while the loss hardly falls.

    Their slope there is close to zero, so the layers below them do not learn.

    Args:
        case: the fractions near the ends in the recorded steps.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    section 3.
    """
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return
    history: dict[str, list[torch.Tensor]] = {}
    kinds: dict[str, str] = {}
    for unit in (unit for record in case.records for unit in record.activations):
        if unit.low_fraction is not None and unit.high_fraction is not None:
            history.setdefault(unit.name, []).append(unit.low_fraction + unit.high_fraction)
            kinds[unit.name] = unit.kind
    for name, fractions in history.items():
        recent = fractions[-MIN_STEPS:]
        if len(recent) < MIN_STEPS or len({len(units) for units in recent}) > 1:
            continue
        saturated = float((torch.stack(recent).mean(0) > MIN_SATURATED_SAMPLES).float().mean())
        if saturated >= MIN_SATURATED_UNITS:
            yield Finding(
                "saturated-activation",
                "error",
                {"layer": name, "kind": kinds[name], "fraction stuck": saturated},
                Message(
                    "{saturated} of the {kinds} units {name} are stuck at an end of their range",
                    saturated=f"{saturated:.0%}",
                    kinds=kinds[name],
                    name=name,
                ),
                case.choose_remedy(
                    Message("use init=xavier-uniform and scale=standard, or activation=relu"),
                    Message("use smaller initial weights (Xavier), scale the inputs, or use relu"),
                ),
                change=case.config_change(init="xavier-uniform", scale="standard"),
            )
            return
