"""Inputs whose scale changes from epoch to epoch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.records import InputRecord

MIN_RECORDS = 6
"""Recorded steps: the first five are those of the first epoch."""
MIN_RATIO, MIN_SHIFT = 20.0, 10.0
"""Last standard deviation over the first, or the reverse, and shift of the mean in the first standard deviation: states
that an agent reaches later are larger by less, and batches of one epoch differ by a few percent."""
MIN_COLUMN_SHRINKAGE = 8.0
"""First standard deviation over the last one of the median column of a table: the columns of rows that are standardized
again and again shrink each to its own constant, which leaves the deviation of all values as it was. Growth must reach
`MIN_RATIO`, since states of an agent that begins at rest grow."""
MIN_LEVELS = 2
"""Changes of a tenth or more, all in one direction: rows that are scaled again in every epoch."""
MIN_CHANGE = 0.1
"""A change of the scale that counts."""

REMEDY = Message("scale into a new tensor, x = (x - mean) / std, instead of x.sub_(mean).div_(std) or x -= mean")


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("a run reads its rows itself")
    count = len(_collect_inputs(case))
    return (
        ""
        if count >= MIN_RECORDS
        else Message("it needs {MIN_RECORDS} recorded inputs, got {count}", MIN_RECORDS=MIN_RECORDS, count=count)
    )


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "high-learning-rate",
        "low-learning-rate",
        "non-finite-loss",
        "inputs",
        "evaluated-inputs",
        "exploding-gradients",
        "oscillation",
        "plateau",
        "dead-relu",
        "saturated-activation",
        "overfitting",
        "memorization",
        "underfitting",
    ),
)
def drifting_inputs(case: Case) -> Iterator[Finding]:
    """Find inputs that grow, shrink or move from epoch to epoch: the loop changes its rows in place, each time again.

    Args:
        case: the inputs of the recorded steps.

    Source: PyTorch documentation, "Broadcasting semantics" and torch.Tensor.sub_ (operations in place).
    """
    inputs = _collect_inputs(case)
    first, last = inputs[0], inputs[-1]
    ratio = last.std / max(first.std, 1e-30)
    shift = abs(last.mean - first.mean) / max(first.std, 1e-30)
    is_scaled = (ratio > MIN_RATIO or ratio < 1 / MIN_RATIO) and _changes_in_one_direction([x.std for x in inputs])
    is_moved = shift > MIN_SHIFT and _changes_in_one_direction([x.mean for x in inputs])
    if not is_scaled and not is_moved:
        yield from _find_drifting_columns(inputs, case.sources.get("forward", ""))
        return
    yield Finding(
        "drifting-inputs",
        "error",
        {"std at first": first.std, "std at the end": last.std, "mean at first": first.mean, "at the end": last.mean},
        Message(
            "the inputs had mean {mean} and standard deviation {std} at first, and {mean_2} and {std_2} at the end: "
            "the rows themselves are changed in every epoch",
            mean=f"{first.mean:.3g}",
            std=f"{first.std:.3g}",
            mean_2=f"{last.mean:.3g}",
            std_2=f"{last.std:.3g}",
        ),
        REMEDY,
        source=case.sources.get("forward", ""),
    )


def _find_drifting_columns(inputs: list[InputRecord], source: str) -> Iterator[Finding]:
    """Yield that the columns of a table shrink or grow by the same factor, in the median."""
    stds = [x.column_std.cpu() for x in inputs if x.column_std is not None]
    if len(stds) < len(inputs):
        return
    varies = stds[0] > 0
    if not bool(varies.any()):
        return
    logarithms = torch.stack([std[varies].clamp(min=1e-30).log() - stds[0][varies].log() for std in stds])
    relative = [math.exp(value) for value in logarithms.median(1).values.tolist()]
    is_drifting = relative[-1] < 1 / MIN_COLUMN_SHRINKAGE or relative[-1] > MIN_RATIO
    if not is_drifting or not _changes_in_one_direction(relative):
        return
    yield Finding(
        "drifting-inputs",
        "error",
        {"columns": int(varies.sum()), "std at the end relative to the first": relative[-1]},
        Message(
            "the standard deviations of the {count} input columns change to {ratio} of the first ones (median), step "
            "by step: the rows themselves are changed in every epoch",
            count=int(varies.sum()),
            ratio=f"{relative[-1]:.3g}",
        ),
        REMEDY,
        source=source,
    )


def _collect_inputs(case: Case) -> list[InputRecord]:
    """Return the finite statistics of recorded inputs of one shape, but for the number of rows."""
    inputs = [record.inputs for record in case.records if record.inputs is not None]
    finite = [x for x in inputs if math.isfinite(x.mean) and math.isfinite(x.std) and x.std > 0]
    return [x for x in finite if x.shape[1:] == finite[0].shape[1:]]


def _changes_in_one_direction(values: list[float]) -> bool:
    """Return whether values change several times, and always in the direction of the whole change."""
    direction = math.copysign(1.0, values[-1] - values[0])
    changes = [(b - a) / max(abs(a), abs(b), 1e-30) * direction for a, b in itertools.pairwise(values)]
    return sum(change > MIN_CHANGE for change in changes) >= MIN_LEVELS and min(changes) > -MIN_CHANGE
