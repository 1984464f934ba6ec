"""A generator and a discriminator that are not opposed."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_STEPS = 3
"""Recorded steps in which both losses were seen: one may be of a warm-up."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    steps = case.adversaries.same + case.adversaries.opposed
    return describe_shortage(MIN_STEPS, steps, Message("recorded steps of a generator and a discriminator"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "collapsed-outputs",
        "constant-outputs",
        "unbounded-loss",
        "instant-fit",
        "plateau",
        "vanishing-gradients",
        "low-learning-rate",
        "high-learning-rate",
    ),
)
def adversarial_target(case: Case) -> Iterator[Finding]:
    """Find a generator whose loss moves the scores of generated rows in the direction of the discriminator's loss.

    The discriminator tells real rows from generated ones; the generator must want the opposite for the generated ones.

    Args:
        case: its losses, by what they do to one network with rows that another one generates.

    Source: Goodfellow et al., "Generative adversarial nets", 2014, section 3.
    """
    steps = case.adversaries
    if steps.opposed or not steps.same:
        return
    yield Finding(
        "adversarial-target",
        "error",
        {"steps": steps.same},
        Message(
            "generator and discriminator want the same: in {steps} of {steps} recorded steps both losses move the "
            "scores of the generated rows in one direction, so that the generator learns to be recognized",
            steps=steps.same,
        ),
        Message(
            "give the generator's loss the label of real rows: bce(D(fake), ones); with a critic without labels, the "
            "opposite sign: -D(fake).mean()"
        ),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
