"""The same batches in the same order, epoch after epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_STEPS = 16
"""Steps that must repeat: sixteen shuffled batches do not come in the same order twice at random."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("a config shuffles its rows")
    return (
        "" if case.steps >= MIN_STEPS and case.batch_order.rows else Message("the targets of too few steps were seen")
    )


@register(needs=explain_skip, when="first", cause="data")
def fixed_batches(case: Case) -> Iterator[Finding]:
    """Find batches that come again in the same order: the rows of a batch always have the same neighbors.

    One batch in all steps may be the complete data; with rows that were given to the doctor it is known.

    Args:
        case: the first targets of its batches.

    Source: Bottou, "Stochastic gradient descent tricks", 2012, section 2.2 (shuffle the examples); Bengio, "Practical
    recommendations for gradient-based training of deep architectures", 2012, section 3.1.1.
    """
    period, rows = case.batch_order.period, case.batch_order.rows
    if not case.batch_order.distinguishes and _have_other_inputs(case):
        return
    if period == 1 and case.data_rows is not None and case.data_rows > rows:
        yield Finding(
            "fixed-batches",
            "error",
            {"rows of the batch": rows, "rows": case.data_rows},
            Message(
                "every step trains on the same {rows} rows of {data_rows}", rows=rows, data_rows=f"{case.data_rows:,}"
            ),
            Message("iterate over the loader (for x, y in loader) instead of taking its first batch in every step"),
            source=case.sources.get("forward", ""),
        )
    elif period > 1 or (period == 0 and case.batch_order.begins_alike):
        evidence = {"batches": period} if period else {}
        yield Finding(
            "fixed-batches",
            "note",
            evidence,
            Message("every epoch has the same batches in the same order"),
            Message("shuffle the training rows in every epoch: DataLoader(..., shuffle=True)"),
        )


def _have_other_inputs(case: Case) -> bool:
    """Return whether the recorded batches with equal targets have different inputs."""
    samples = [record.sample for record in case.records if record.sample is not None]
    pairs = [(a, b) for a, b in itertools.pairwise(samples) if a.shape == b.shape]
    return bool(pairs) and not any(torch.equal(a, b) for a, b in pairs)
