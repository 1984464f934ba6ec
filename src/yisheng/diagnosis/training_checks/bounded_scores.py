"""Scores of classes that cannot be far apart, such as cosines."""

from __future__ import annotations

import math
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_FLOOR = 0.1
"""Smallest possible loss relative to that of a uniform guess: below, the bound hardly matters."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    pairing = case.pairing
    if pairing is None or pairing.loss != "nll" or len(pairing.shape) < 2 or pairing.shape[1] < 2:
        return Message("the loss does not compare classes")
    if case.probe.outputs % pairing.shape[1]:  # as the similarities of pairs of outputs
        return Message("the loss compares other values than the outputs of the network")
    if case.probe.reason or case.probe.score_limit is None:
        return case.probe.reason or Message("the outputs change with the size of the weights")
    return ""


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("plateau", "underfitting", "low-learning-rate", "high-learning-rate", "narrow-layer"),
)
def bounded_scores(case: Case) -> Iterator[Finding]:
    """Find scores between -b and b, whatever the weights are: the loss of C classes stays above log(1 + (C - 1) e^-2b).

    Cosines and other normalized outputs are such scores. They are recognized by weights of ten times the size, which
    change nothing.

    Args:
        case: its network in its last state, and its loss.

    Source: Wang, Xiang, Cheng and Yuille, "NormFace: L2 hypersphere embedding for face verification", 2017, section
    3.2 (the scale of cosines).
    """
    limit, pairing = case.probe.score_limit, case.pairing
    assert limit is not None  # ensured by needs
    assert pairing is not None
    classes = pairing.shape[1]
    floor = math.log1p((classes - 1) * math.exp(-2 * limit))
    if floor < MIN_FLOOR * math.log(classes) or case.final_loss < floor:
        return  # a loss below the bound is not one of these scores, but of what the program makes of them
    yield Finding(
        "bounded-scores",
        "error",
        {"largest score": limit, "smallest possible loss": floor, "loss at the end": case.final_loss},
        Message(
            "whatever the weights are, the scores stay between {low} and {high}: the cross-entropy of {classes} "
            "classes cannot fall below {floor}",
            low=f"{-limit:.2g}",
            high=f"{limit:.2g}",
            classes=classes,
            floor=f"{floor:.2g}",
        ),
        Message("multiply the scores by a scale before the loss: 10 to 30 for cosines, or a parameter that is learned"),
        source=case.sources.get("loss", ""),
    )
