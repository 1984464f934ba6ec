"""Contrastive rows that are compared with themselves."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.loss_problems import MIN_LOSSES, collect_forms


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    has_similarities = any(form.own_similarity for form in collect_forms(case))
    return "" if has_similarities else Message("no row is to be recognized among similarities of one tensor")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("instant-fit", "opposed-score", "evaluated-scores", "collapsed-outputs"),
)
def self_similarity(case: Case) -> Iterator[Finding]:
    """Find a contrastive loss in which the second view of each row is the first one: z zᵀ instead of z₁ z₂ᵀ.

    Every row is most similar to itself, whatever the network computes.

    Args:
        case: the form of its recorded losses.

    Source: Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive learning of visual
    representations", 2020, equation 1 (the similarity of a row with itself is left out).
    """
    forms = collect_forms(case)
    count = sum(form.own_similarity for form in forms)
    if count < MIN_LOSSES or count < len(forms):
        return
    yield Finding(
        "self-similarity",
        "error",
        {"losses": count, "first loss": case.first_loss, "loss at the end": case.final_loss},
        Message(
            "each row is to be found among the similarities of one tensor with itself: it is most similar to itself "
            "whatever the network computes, and two views of a row are never compared"
        ),
        Message("compare the views with each other: first @ second.T, where each comes from a pass of its own"),
        source=case.sources.get("loss", "") or case.sources.get("backward", ""),
    )
