"""A triplet loss whose positive and negative examples are exchanged."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

FIRST_UPDATES = 5
"""Updates during which the distances are still those of the inputs and not what the loss has made of them."""
MIN_TRIPLETS = 60
"""Triplets without which the fraction is not known: of 60 it is off by 0.06 at random."""
MIN_FARTHER, DEVIATIONS = 0.6, 3.0
"""Fraction of the positive examples that are farther away than the negative ones, and standard deviations by which it
must be above 1/2: an untrained network keeps rows of one class nearer, or, if the inputs say nothing, as near."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = _count_triplets(case)[0]
    if count >= MIN_TRIPLETS:
        return ""
    return Message("it needs at least {required} triplets in the first updates", required=MIN_TRIPLETS)


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("opposed-score", "evaluated-scores", "plateau", "underfitting", "collapsed-outputs"),
)
def swapped_arguments(case: Case) -> Iterator[Finding]:
    """Find a triplet loss that pulls together what is far apart and pushes apart what is near, from the beginning.

    Triplets that the program selects by the network's outputs, such as the hardest ones, are left out.

    Args:
        case: the form of its first losses.

    Source: Schroff, Kalenichenko and Philbin, "FaceNet: a unified embedding for face recognition and clustering",
    2015, equation 1; PyTorch documentation, torch.nn.TripletMarginLoss (anchor, positive, negative).
    """
    triplets, farther = _count_triplets(case)
    fraction = farther / triplets
    if fraction < MIN_FARTHER or fraction - DEVIATIONS * math.sqrt(fraction * (1 - fraction) / triplets) < 0.5:
        return
    yield Finding(
        "swapped-arguments",
        "warning",
        {"triplets": triplets, "positive farther": farther, "fraction": fraction},
        Message(
            "in {fraction} of the first {triplets} triplets the positive example is farther from the anchor than the "
            "negative one, before anything is learned: the two seem to be exchanged, so that rows of one class are "
            "pushed apart",
            fraction=f"{fraction:.0%}",
            triplets=triplets,
        ),
        Message("the order is triplet_margin_loss(anchor, positive, negative); look at which rows share a class"),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )


def _count_triplets(case: Case) -> tuple[int, int]:
    """Return the triplets of the first updates, and those of them whose positive example is the farther one."""
    forms = [f.form for f in case.features if f.form is not None and f.step < FIRST_UPDATES]
    return sum(form.triplets for form in forms), sum(form.farther for form in forms)
