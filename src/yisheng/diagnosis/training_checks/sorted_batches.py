"""Batches of one class each."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_BATCHES, MIN_BATCH_ROWS = 5, 8
"""Batches, and rows of each, below which shuffled batches lack as many classes at random."""
MAX_CLASS_RATIO, MIN_MISSING_CLASSES = 0.6, 0.5
"""Classes in a batch, relative to those of shuffled rows and below them."""

MIN_BALANCED_CLASSES = 2
"""Classes of which every batch has equally many rows: a sampler draws them on purpose, as for metric learning."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return describe_shortage(
        MIN_BATCHES,
        len(_class_batches(case)),
        Message("batches of {MIN_BATCH_ROWS} class numbers", MIN_BATCH_ROWS=MIN_BATCH_ROWS),
    )


@register(needs=explain_skip, when="first", cause="data", explains=("high-learning-rate", "oscillation", "plateau"))
def sorted_batches(case: Case) -> Iterator[Finding]:
    """Find rows in the order of their classes: each batch contains one or two of many classes.

    With p_c the fraction of class c in all recorded targets, a shuffled batch of n rows contains
    sum_c (1 - (1 - p_c)^n) classes on average. Batches with equally many rows of several classes are drawn so.

    Args:
        case: the targets of the recorded steps.

    Source: Bottou, "Stochastic gradient descent tricks", 2012, section 2.2 (shuffle the examples).
    """
    batches = _class_batches(case)
    counts = torch.cat(batches).unique(return_counts=True)[1].double()
    p = counts / counts.sum()
    expected = sum(float((1 - (1 - p) ** len(batch)).sum()) for batch in batches) / len(batches)
    observed = sum(len(batch.unique()) for batch in batches) / len(batches)
    is_sorted = observed < MAX_CLASS_RATIO * expected and observed <= expected - MIN_MISSING_CLASSES
    if len(counts) > 1 and is_sorted and not _are_balanced(batches):
        yield Finding(
            "sorted-batches",
            "error",
            {"classes in a batch": observed, "expected": expected, "batches": len(batches)},
            Message(
                "a batch contains {observed} classes on average, and shuffled rows would give {expected}: "
                "the rows are in the order of their classes",
                observed=f"{observed:.1f}",
                expected=f"{expected:.1f}",
            ),
            Message("shuffle the training rows in every epoch: DataLoader(..., shuffle=True)"),
        )


def _class_batches(case: Case) -> list[torch.Tensor]:
    """Return the class numbers of each recorded batch that is large enough."""
    batches = [record.targets.flatten() for record in case.records if record.targets is not None]
    return [batch for batch in batches if not batch.is_floating_point() and len(batch) >= MIN_BATCH_ROWS]


def _are_balanced(batches: list[torch.Tensor]) -> bool:
    """Return whether each batch has equally many rows of each of its classes, several of them."""
    rows = [batch.unique(return_counts=True)[1] for batch in batches]
    return all(len(n) >= MIN_BALANCED_CLASSES and bool((n == n[0]).all()) for n in rows)
