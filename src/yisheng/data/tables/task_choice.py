"""What is learned from the target, and why: whole numbers can be classes or numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.spec import Task
from yisheng.data.tables.raw_column import RawColumn


def report_task(raws: Sequence[RawColumn], task: Task, values: Sequence[np.ndarray]) -> tuple[Finding, ...]:
    """Return a note on the task that was chosen for a target of whole numbers, or for several targets.

    Args:
        raws: the columns to predict.
        task: the task that was inferred.
        values: the different numbers of each column; empty for a column of words.
    """
    names = ", ".join(raw.name for raw in raws)
    if len(raws) > 1:
        if task == "multilabel":
            cause = Message("task=multilabel: the targets {names} are yes or no", names=names)
            remedy = Message("to predict them as numbers, use task=regression")
        else:
            cause = Message("task=regression: the targets {names} are numbers", names=names)
            remedy = Message("to predict one of them only, name it with target={name}", name=raws[0].name)
        return (Finding("task", "note", {"task": task}, cause, remedy),)
    distinct = values[0]
    if not len(distinct) or (distinct != np.floor(distinct)).any():
        return ()
    evidence = {"task": task, "values": len(distinct), "low": float(distinct[0]), "high": float(distinct[-1])}
    described = Message(
        "{count} different whole numbers, {lowest} to {highest}",
        count=f"{len(distinct):,}",
        lowest=f"{distinct[0]:,.0f}",
        highest=f"{distinct[-1]:,.0f}",
    )
    if task == "classification":
        return (
            Finding(
                "task",
                "note",
                evidence,
                Message(
                    "task=classification: the target {names} has {described}; each is a class",
                    names=names,
                    described=described,
                ),
                Message("to predict it as a number, use task=regression"),
            ),
        )
    return (
        Finding(
            "task",
            "note",
            evidence,
            Message(
                "task=regression: the target {names} has {described}; it is predicted as a number",
                names=names,
                described=described,
            ),
            Message("if they are classes, use task=classification"),
        ),
    )
