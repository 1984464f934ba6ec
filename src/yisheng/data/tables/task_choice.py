"""What is learned from the target, and why: whole numbers can be classes or numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yisheng.core.types import Finding, Task
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
        kind = "yes or no" if task == "multilabel" else "numbers"
        remedy = "use task=regression" if task == "multilabel" else f"name it with target={raws[0].name}"
        remedy = f"to predict {'them as numbers' if task == 'multilabel' else 'one of them only'}, {remedy}"
        cause = f"task={task}: the targets {names} are {kind}"
        return (Finding("task", "note", {"task": task}, cause, remedy),)
    distinct = values[0]
    if not len(distinct) or (distinct != np.floor(distinct)).any():
        return ()
    evidence = {"task": task, "values": len(distinct), "low": float(distinct[0]), "high": float(distinct[-1])}
    described = f"{len(distinct):,} different whole numbers, {distinct[0]:,.0f} to {distinct[-1]:,.0f}"
    if task == "classification":
        return (
            Finding(
                "task",
                "note",
                evidence,
                f"task=classification: the target {names} has {described}; each is a class",
                "to predict it as a number, use task=regression",
            ),
        )
    return (
        Finding(
            "task",
            "note",
            evidence,
            f"task=regression: the target {names} has {described}; it is predicted as a number",
            "if they are classes, use task=classification",
        ),
    )
