"""Relu units that are zero for every sample."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.dead_units import MIN_STEPS, find_dead_layer
from yisheng.diagnosis.wording import describe_shortage

MAX_LEARNED_FRACTION = 0.5
"""A training that has learned more than this is not reported."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = sum(any(unit.zero_fraction is not None for unit in record.activations) for record in case.records)
    return (
        describe_shortage(MIN_STEPS, count, Message("recorded steps with relus"))
        if count
        else Message("no relu was recorded")
    )


@register(
    needs=explain_skip,
    when="during",
    cause="rate",
    explains=("vanishing-gradients", "plateau", "constant-outputs", "missed-classes"),
)
def dead_relu(case: Case) -> Iterator[Finding]:
    """Find a layer whose relu units are nearly all zero for every sample of three recorded steps.

    It is reported if little is learned.

    Args:
        case: the fractions of zeros in the recorded steps.

    Source: Lu, Shin, Su and Karniadakis, "Dying ReLU and initialization", 2020, section 2.
    """
    dead = find_dead_layer(case) if case.learned_less_than(MAX_LEARNED_FRACTION) else None
    if dead is None:
        return
    if dead.dead_from_start:
        when: str = Message(", as they were before the first update")
        remedy = case.choose_remedy(
            Message("use init=kaiming-normal"), Message("use Kaiming initialization with zero biases, or leaky relu")
        )
        change = case.config_change(init="kaiming-normal")
    else:
        when = ""
        remedy = case.choose_remedy(
            Message("lower lr and use init=kaiming-normal"),
            Message("lower the learning rate, use Kaiming initialization with zero biases, or leaky relu"),
        )
        change = case.config_change(init="kaiming-normal", lr="x 0.1")
    yield Finding(
        "dead-relu",
        "error",
        {"layer": dead.layer, "fraction dead": dead.fraction, "samples": dead.samples},
        Message(
            "{fraction} of the relu units {layer} are zero for all of the last {samples} samples{when}",
            fraction=f"{dead.fraction:.0%}",
            layer=dead.layer,
            samples=dead.samples,
            when=when,
        ),
        remedy,
        change=change,
    )
