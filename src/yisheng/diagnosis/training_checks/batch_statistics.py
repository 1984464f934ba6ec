"""Batches that are standardized by their own mean and standard deviation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import InputRecord
from yisheng.diagnosis.wording import describe_shortage

MIN_BATCHES, MIN_ROWS = 4, 4
"""Recorded batches, and rows of each."""
MAX_MEAN = 0.02
"""Largest mean of a column of a batch times the root of its rows, in standard deviations: one column of 60 is as near
to 0 at random."""
MAX_STD_ERROR = 0.05
"""Deviation of the standard deviation of each column from 1, or from that of a division by n - 1 instead of n: that of
a batch of 32 rows differs by 12% at random."""
MAX_EQUAL = 1e-6
"""Difference of the largest values of two batches that are the same rows."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("a run standardizes by its training part")
    return describe_shortage(MIN_BATCHES, len(_collect(case)), Message("recorded batches of a table"))


@register(
    needs=explain_skip,
    when="during",
    cause="data",
    explains=("evaluated-inputs", "memorization", "overfitting", "underfitting", "missed-classes", "label-noise"),
)
def batch_statistics(case: Case) -> Iterator[Finding]:
    """Find batches whose columns all have mean 0 and standard deviation 1: each is standardized by itself.

    The input of a row then depends on the other rows of its batch; a single row becomes 0. The columns of batches that
    are standardized by the training rows have means of about 1 / sqrt(rows).

    Args:
        case: the inputs of the recorded steps and of evaluations.

    Source: Ioffe and Szegedy, "Batch normalization", 2015, section 3.1 (inference uses the statistics of the training
    rows).
    """
    batches = _collect(case)
    if not all(map(_is_standardized, batches)) or _are_same_rows(batches):
        return
    rows = batches[0].shape[0]
    evaluated = [record for record in case.evaluated.inputs if len(record.shape) == 2]
    sizes = [record.shape[0] for record in evaluated]
    evidence = {"batches": len(batches), "rows of a batch": rows, "largest mean": max(map(_largest_mean, batches))}
    if sizes:
        evidence["rows of the smallest batch of evaluation"] = min(sizes)
    yield Finding(
        "batch-statistics",
        "warning",
        evidence,
        Message(
            "each of {count} recorded batches of {rows} rows has mean 0 and standard deviation 1 in every column: it "
            "is standardized by itself, so that the input of a row depends on the other rows of its batch",
            count=len(batches),
            rows=rows,
        ),
        Message(
            "compute mean and standard deviation of the training rows once, and use these for every batch, also in "
            "evaluation"
        ),
        source=case.sources.get("forward", ""),
    )


def _collect(case: Case) -> list[InputRecord]:
    """Return the recorded inputs that are tables of enough rows."""
    inputs = [record.inputs for record in case.records if record.inputs is not None]
    return [x for x in inputs if x.column_mean is not None and x.shape[0] >= MIN_ROWS]


def _is_standardized(x: InputRecord) -> bool:
    """Return whether all columns that vary have mean 0 and standard deviation 1, far nearer than at random."""
    assert x.column_mean is not None  # ensured by needs
    assert x.column_std is not None
    std = x.column_std.double()
    varies = std > 0
    if not bool(varies.any()) or not _largest_mean(x) * math.sqrt(x.shape[0]) < MAX_MEAN:
        return False
    corrected = torch.tensor([1.0, math.sqrt((x.shape[0] - 1) / x.shape[0])], dtype=std.dtype)
    return bool(((std[varies][:, None] - corrected).abs().amin(1) < MAX_STD_ERROR).all())


def _largest_mean(x: InputRecord) -> float:
    assert x.column_mean is not None
    assert x.column_std is not None
    varies = x.column_std > 0
    return float((x.column_mean[varies].abs() / x.column_std[varies]).max()) if bool(varies.any()) else math.inf


def _are_same_rows(batches: list[InputRecord]) -> bool:
    """Return whether all batches have the same largest value: each is the complete data set."""
    highest = [x.max_abs for x in batches]
    return max(highest) - min(highest) <= MAX_EQUAL * max(highest)
