"""A bonus for entropy that outweighs what is to be learned."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_terms import LossTerm
from yisheng.diagnosis.wording import describe_shortage

MIN_UPDATES = 50
"""Before that, a policy is still nearly what it was at first."""
MIN_RATIO = 1.0
"""Factor of the entropy over the range of the rewards: the best policy is then proportional to exp(reward / factor), in
which the best action is at most e times as likely as the worst; for a cross-entropy, the right class has one half."""
MIN_ENTROPY = 0.9
"""Entropy at the end relative to that of equal probabilities: where the bonus does not bind, it is far below."""
LAST_RECORDS = 3
"""Recorded steps at the end that the entropy is the mean of."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not any(_find_bonus(record.terms) for record in case.records):
        return Message("the loss has no bonus for entropy")
    return describe_shortage(MIN_UPDATES, case.steps, Message("updates"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "outweighed-loss",
        "constant-outputs",
        "collapsed-outputs",
        "plateau",
        "low-learning-rate",
        "underfitting",
    ),
)
def strong_entropy(case: Case) -> Iterator[Finding]:
    """Find a policy or classifier whose probabilities stay equal because the loss rewards that more than being right.

    With rewards of range R and a factor b of the entropy, b >= R leaves the best action at most e times as likely as
    the worst. The entropy must also be near log(C) at the end.

    Args:
        case: the terms of its losses.

    Source: Ziebart, "Modeling purposeful adaptive behavior with the principle of maximum causal entropy", 2010;
    Pereyra et al., "Regularizing neural networks by penalizing confident output distributions", 2017.
    """
    last = [bonus for record in case.records if (bonus := _find_bonus(record.terms)) is not None][-LAST_RECORDS:]
    entropy = sum(bonus.value / math.log(bonus.classes) for bonus in last) / len(last)
    factor, strength = last[-1].factor, _find_range(case)
    if not strength > 0 or factor < MIN_RATIO * strength or entropy < MIN_ENTROPY:
        return
    yield Finding(
        "strong-entropy",
        "warning",
        {"factor of the entropy": factor, "range of the rewards": strength, "entropy relative to the largest": entropy},
        Message(
            "the loss rewards entropy with a factor of {factor}, and everything else differs by {strength} at most: "
            "the probabilities stay equal ({entropy} of the largest entropy at the end)",
            factor=f"{factor:.3g}",
            strength=f"{strength:.3g}",
            entropy=f"{entropy:.0%}",
        ),
        Message("use a factor of {factor}, or let it fall to 0 during training", factor=f"{0.01 * strength:.1g}"),
        source=case.sources.get("backward", ""),
    )


def _find_bonus(terms: tuple[LossTerm, ...]) -> LossTerm | None:
    """Return the term that a higher entropy makes smaller, or None: the sum of p log p with a positive factor."""
    return next((term for term in terms if term.kind == "entropy" and term.factor > 0), None)


def _find_range(case: Case) -> float:
    """Return the range of the rewards of all recorded steps, or the factor of a cross-entropy; 0 if unknown."""
    terms = [term for record in case.records for term in record.terms]
    weighted = [term for term in terms if term.kind == "weighted"]
    if weighted:
        lowest, highest = min(term.lowest for term in weighted), max(term.highest for term in weighted)
        return abs(weighted[-1].factor) * (highest - lowest)
    return max((term.factor for term in terms if term.kind == "loss" and term.classes), default=0.0)
