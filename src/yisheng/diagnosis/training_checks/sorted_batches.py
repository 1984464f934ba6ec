"""Batches of one class each."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.registry import register
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case, describe_shortage

LEAST, MANY = 5, 8


def why_not(case: Case) -> str:
    """What it lacks."""
    return describe_shortage(LEAST, len(_seen(case)), f"batches of {MANY} class numbers")


def _seen(case: Case) -> list[torch.Tensor]:
    """The class numbers of each batch that was looked at and is large enough."""
    seen = [m.targets.flatten() for m in case.records if m.targets is not None and not m.targets.is_floating_point()]
    return [targets for targets in seen if len(targets) >= MANY]


@register(needs=why_not, when="first", cause="data", explains=("high-learning-rate", "oscillation", "plateau"))
def sorted_batches(case: Case) -> Iterator[Finding]:
    """The rows come in the order of their classes: each batch holds one or two of many.

    Args:
        case: the targets of the steps that were looked at.

    Source: Bottou, "Stochastic gradient descent tricks", 2012, section 2.2 (shuffle the examples).
    """
    seen = _seen(case)
    kinds = [len(targets.unique()) for targets in seen]
    # How many kinds a batch would hold if its rows were drawn from all that was seen.
    all_seen = case.collect_targets()
    assert all_seen is not None
    counts = all_seen.unique(return_counts=True)[1].double()
    shares = counts / counts.sum()
    wanted = sum(float((1 - (1 - shares) ** len(targets)).sum()) for targets in seen) / len(seen)
    found = sum(kinds) / len(kinds)
    if len(counts) > 1 and found < 0.6 * wanted and found <= wanted - 0.5:
        yield Finding(
            "sorted-batches",
            "error",
            {"classes in a batch": found, "expected": wanted, "batches": len(seen)},
            f"a batch holds {found:.1f} classes on average where shuffled rows would have {wanted:.1f}: the rows come "
            "in the order of their classes",
            "shuffle the training rows anew in every epoch (DataLoader(..., shuffle=True))",
        )
