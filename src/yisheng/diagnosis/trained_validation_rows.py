"""Find that a user's loop trains on the validation rows that the doctor was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import MAX_VALUES
from yisheng.diagnosis.recorder.trained_rows import cut_targets, key_rows

CHECK = "trained-on-validation"
MIN_ROWS = 4
"""Validation rows with their targets among the rows of the updates; by coincidence there is none."""
MIN_EQUAL_TARGETS = 0.9
"""Fraction of these rows whose target is that of the validation part: a loss that only reads their inputs, as that of
adaptation to another domain or of all nodes of one graph, compares them with something else."""


def find_trained_validation_rows(case: Case, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that recorded updates were made on validation rows, and that the training is evaluated after them.

    Rows that are in both parts are not counted: they are leaks of the split.

    Args:
        case: the training.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.
    """
    batches = [(record.step, record.trained) for record in case.records if record.trained is not None]
    parts = [_read_pair(part) for part in (data, validation)]
    if not batches or parts[0] is None or parts[1] is None:
        return
    x, y = parts[1]
    trained = set(key_rows(parts[0][0]))
    held_out = {key: row for row, key in enumerate(key_rows(x)) if key not in trained}
    rows = pure = 0
    is_equal: list[bool] = []
    steps: list[int] = []
    for step, batch in batches:
        positions = [position for position, key in enumerate(batch.keys) if key in held_out]
        rows += len(batch.keys)
        if positions:
            targets = y[[held_out[batch.keys[position]] for position in positions]]
            is_equal += _compare_targets(batch.targets[positions], targets)
            steps.append(step)
            pure += len(positions) == len(batch.keys)
    count = sum(is_equal)
    if count < MIN_ROWS or count < MIN_EQUAL_TARGETS * len(is_equal) or not _is_evaluated_after(case, steps[0]):
        return
    cause = Message(
        "{count} of the {rows} rows of the recorded updates are validation rows with their targets: the network is "
        "trained on them, and its validation score shows what it has memorized",
        count=count,
        rows=rows,
    )
    remedy = Message(
        "draw the training batches from the training rows only: look at the indices of the split, and at what the "
        "loader is made of"
    )
    if pure == len(steps):
        remedy = Message(
            "evaluate under torch.no_grad(), without loss.backward() and optimizer.step(): some updates are made on "
            "validation rows only"
        )
    yield Finding(
        CHECK,
        "error",
        {"validation rows": count, "of rows": rows, "steps": steps[:5], "of recorded updates": len(batches)},
        cause,
        remedy,
        source=case.sources.get("step", ""),
    )


def _is_evaluated_after(case: Case, step: int) -> bool:
    """Return whether anything is evaluated after an update: a last training on all rows needs no evaluation."""
    return any(evaluation.step > step for series in case.course.series.values() for evaluation in series)


def _compare_targets(targets: torch.Tensor, expected: torch.Tensor) -> list[bool]:
    """Return for each row whether its target in the loss is that of the validation part."""
    first, second = (values.detach().cpu().double() for values in (targets, cut_targets(expected)))
    if first.shape != second.shape:
        return [False] * len(targets)
    is_close = torch.isclose(first, second, rtol=1e-4, atol=1e-5)
    return is_close.all(1).tolist()


def _read_pair(part: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return inputs and targets as tensors, or None if they are something else, or too large."""
    if not isinstance(part, tuple | list) or len(part) != 2:
        return None
    tensors = [torch.as_tensor(v) if isinstance(v, np.ndarray) and v.dtype.kind in "fiub" else v for v in part]
    x, y = tensors
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor) or x.ndim < 2 or len(x) != len(y):
        return None
    return (x, y) if 0 < x.numel() <= MAX_VALUES else None
