"""Batches that hold one row many times."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.recorder.records import StepRecord
from yisheng.diagnosis.wording import describe_shortage

MIN_RECORDS = 6
"""Recorded batches of which nearly all must hold one row only: at random, not even one does."""
MIN_FRACTION = 0.9
"""Fraction of the recorded batches whose rows are all the same."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("a config draws different rows")
    pairing = case.pairing
    if pairing is None or pairing.loss not in (*REGRESSION_LOSSES, "nll") or pairing.is_weighted:
        return Message("the loss does not compare outputs with targets")
    return describe_shortage(MIN_RECORDS, len(_list_batches(case)), Message("recorded batches with different targets"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("sorted-targets", "sorted-batches", "constant-outputs", "inputs", "small-batch-norm", "drifting-inputs"),
)
def aliased_rows(case: Case) -> Iterator[Finding]:
    """Find batches whose rows are all the same while their targets differ, and which differ from step to step.

    A list to which one tensor or array is appended again and again, and which is changed in place in between, holds
    that one object many times. A policy that draws many actions for one state is not reported.

    Args:
        case: the recorded batches.

    Source: Python documentation, "Programming FAQ" (why did changing list y also change list x); NumPy documentation,
    "Copies and views".
    """
    batches = _list_batches(case)
    equal = [record for record in batches if record.has_equal_rows]
    if len(equal) < MIN_FRACTION * len(batches) or any(feature.is_policy for feature in case.features):
        return
    if len({_summarize(record) for record in equal}) < 2:  # it may be all there is
        return
    yield Finding(
        "aliased-rows",
        "error",
        {"batches": len(batches), "of one row": len(equal)},
        Message(
            "in {count} of {total} recorded batches all rows are the same, while their targets differ and the next "
            "batch has another row: the rows seem to be one tensor or array that is changed in place",
            count=len(equal),
            total=len(batches),
        ),
        Message(
            "store copies: buffer.append((state.clone(), ...)) for a tensor, state.copy() for an array; an environment "
            "or a generator may return the same object in each step"
        ),
        source=case.sources.get("forward", ""),
    )


def _list_batches(case: Case) -> list[StepRecord]:
    """Return the recorded steps whose targets differ within the batch."""
    return [record for record in case.records if record.targets is not None and len(record.targets.unique()) > 1]


def _summarize(record: StepRecord) -> tuple[float, ...]:
    return () if record.inputs is None else (record.inputs.mean, record.inputs.max_abs)
