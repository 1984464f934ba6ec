"""A loss at a high temperature that lacks the square of the temperature."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_terms import LossTerm
from yisheng.diagnosis.wording import describe_shortage

MIN_UPDATES = 50
"""Before that, the divergence from the teacher has not fallen yet either way."""
MIN_TEMPERATURE = 2.0
"""Lower ones change the gradients by less than four times."""
MAX_STRENGTH = 0.1
"""Factor over squared temperature, relative to the factor of the other loss: its gradients are a tenth of those."""
MAX_FACTOR = 10.0
"""Factor relative to that of the other loss; a larger one was made so on purpose, for the temperature."""
MIN_REMAINING = 0.05
"""Divergence from the teacher at the end relative to that at first, below which it was learned all the same."""
LAST_RECORDS = 3
"""Recorded steps at the end: one batch may be an easy one."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not any(_find_pair(record.terms) for record in case.records):
        return Message("the loss has no two terms of different temperature")
    return describe_shortage(MIN_UPDATES, case.steps, Message("updates"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("outweighed-loss", "missed-classes", "overfitting", "memorization", "label-noise", "underfitting"),
)
def distillation_temperature(case: Case) -> Iterator[Finding]:
    """Find a distillation whose soft loss is hardly felt next to the hard one, since it lacks the squared temperature.

    Outputs that are divided by T have gradients of 1 / T², by the softmax and by the division. With a factor c of the
    soft loss and w of the hard one, c / (T² w) must not be small.

    Args:
        case: the terms of its losses.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, section 2.1.
    """
    pairs = [pair for record in case.records if (pair := _find_pair(record.terms)) is not None]
    soft, hard = pairs[-1]
    factor = soft.factor / hard.factor
    strength, remaining = factor / soft.temperature**2, _find_remaining([pair[0].divergence for pair in pairs])
    if strength > MAX_STRENGTH or factor > MAX_FACTOR or remaining < MIN_REMAINING:
        return
    yield Finding(
        "distillation-temperature",
        "warning",
        {"temperature": soft.temperature, "factor": factor, "divergence left": remaining},
        Message(
            "the soft loss at a temperature of {temperature} has {factor} times the factor of the hard one, but its "
            "gradients are divided by {temperature} squared: it counts {strength} as much",
            temperature=f"{soft.temperature:g}",
            factor=f"{factor:.3g}",
            strength=f"{strength:.1%}",
        ),
        Message("multiply the soft loss by the squared temperature, {squared}", squared=f"{soft.temperature**2:g}"),
        source=case.sources.get("backward", ""),
    )


def _find_pair(terms: tuple[LossTerm, ...]) -> tuple[LossTerm, LossTerm] | None:
    """Return the term of the highest temperature and a term without one, or None."""
    losses = [term for term in terms if term.kind == "loss" and term.classes and term.factor > 0]
    soft = max(losses, key=lambda term: term.temperature, default=None)
    hard = next((term for term in losses if term.temperature == 1), None)
    return (soft, hard) if soft is not None and hard is not None and soft.temperature >= MIN_TEMPERATURE else None


def _find_remaining(divergences: list[float]) -> float:
    """Return the divergence at the end relative to that at first; 1 if it is unknown."""
    if not all(map(math.isfinite, divergences)) or not divergences[0] > 0:
        return 1.0
    return statistics.median(divergences[-LAST_RECORDS:]) / divergences[0]
