"""Adapters that are added to the weights while they are still next to them."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if case.merges else Message("no adapter was added to a frozen weight during training")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("weights-reset", "oscillation", "high-learning-rate", "overfitting", "plateau"),
)
def merged_twice(case: Case) -> Iterator[Finding]:
    """Find a low-rank adapter that is merged into its frozen weight, and goes on being added to it in the forward pass.

    With W the frozen weight and B A the adapter: between two updates W changed by a multiple of B A, and B and A are
    what they were. From then on the layer computes W + 2 B A.

    Args:
        case: changes of its frozen weights.

    Source: Hu et al., "LoRA: low-rank adaptation of large language models", 2022, section 4.1 (merging, and taking the
    adapter out again).
    """
    first = case.merges[0]
    yield Finding(
        "merged-twice",
        "error",
        {"weight": first.weight, "adapter": list(first.adapter), "times": len(case.merges), "first loss": first.number},
        Message(
            "the product of {names} was added to the frozen {weight} before loss {number}, and the adapter is still "
            "there: it counts twice from then on",
            names=" and ".join(first.adapter),
            weight=first.weight,
            number=f"{first.number:,}",
        ),
        Message("take the adapter out of the weight again after the evaluation, or merge a copy of the network"),
        source=case.sources.get("evaluation", ""),
    )
