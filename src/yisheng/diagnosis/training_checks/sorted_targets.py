"""Regression rows in the order of their targets."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.wording import describe_shortage

MIN_BATCHES, MIN_ROWS = 5, 8
"""Batches, and rows of each, below which the variance within a batch varies too much at random."""
MAX_WITHIN_FRACTION = 0.2
"""Variance within the batches over that of all targets: in shuffled batches of n rows it is 1 - 1/n."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or case.pairing.loss not in REGRESSION_LOSSES:
        return Message("the loss is not a regression loss")
    if _moves_targets(case):
        return Message("the targets are computed by a network, which changes")
    return describe_shortage(
        MIN_BATCHES, len(_batches(case)), Message("batches of {MIN_ROWS} targets", MIN_ROWS=MIN_ROWS)
    )


@register(
    needs=explain_skip,
    when="first",
    cause="data",
    explains=("high-learning-rate", "oscillation", "plateau", "target-scale", "low-learning-rate", "fixed-batches"),
)
def sorted_targets(case: Case) -> Iterator[Finding]:
    """Find batches whose targets are nearly equal within, and differ between them: rows sorted by their target.

    Args:
        case: the targets of the recorded steps.

    Source: Bottou, "Stochastic gradient descent tricks", 2012, section 2.2 (shuffle the examples).
    """
    batches = _batches(case)
    total = float(torch.cat(batches).var())
    within = sum(float(batch.var()) for batch in batches) / len(batches)
    if not total > 0 or within > MAX_WITHIN_FRACTION * total:
        return
    yield Finding(
        "sorted-targets",
        "error",
        {"variance within batches": within, "of all targets": total, "batches": len(batches)},
        Message(
            "the targets of a batch are nearly equal: their variance is {within} of that of all targets, "
            "and shuffled rows would give nearly 100%: the rows are sorted",
            within=f"{within / total:.0%}",
        ),
        Message("shuffle the training rows in every epoch: DataLoader(..., shuffle=True)"),
        source=case.sources.get("loss", ""),
    )


def _moves_targets(case: Case) -> bool:
    """Return whether networks compute the targets, as those of a value: they move while the values are learned."""
    is_called = any(copy.calls.training + copy.calls.evaluation >= case.steps / 2 for copy in case.copies)
    depends_on_others = any(record.depends_on_others for record in case.records)
    return is_called or depends_on_others or case.evaluated.passes >= case.steps / 2 > 0


def _batches(case: Case) -> list[torch.Tensor]:
    """Return the targets of each recorded batch of one number per row."""
    batches = [record.targets for record in case.records if record.targets is not None]
    flat = [batch.flatten().double() for batch in batches if batch.numel() == len(batch)]
    return [batch for batch in flat if len(batch) >= MIN_ROWS]
