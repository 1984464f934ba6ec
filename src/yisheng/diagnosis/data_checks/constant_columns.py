"""Columns with a single value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.wording import MAX_NAMES, join_names

MIN_RATIO = 100.0
"""Largest distance of a value of another part to the constant, over the standard deviation of the median column:
numbers that were divided by the tiny standard deviation of the training rows."""
MAX_EVIDENCE = 50
"""Names of columns in the evidence: those that a person looks at."""


@register(cost="cheap", fits=lambda spec: spec.is_row, explains=("memorization", "overfitting"))
def constant_columns(sample: Sample) -> Iterator[Finding]:
    """Find columns with one value, or no value, in all training rows.

    It is a warning if such a column is enormous in other rows, as after a division by a standard deviation of nearly 0.

    Args:
        sample: its training rows.

    Source: Guyon and Elisseeff, "An introduction to variable and feature selection", 2003.
    """
    rows = sample.draw_rows("train")
    constant = _is_constant(np.asarray(sample.x[rows], np.promote_types(sample.x.dtype, np.float32)))
    if constant.any() and len(rows) < len(sample.rows("train")):  # constant in the drawn rows: check all of them
        rows = sample.rows("train")
        constant[constant] = _is_constant(sample.x[rows][:, constant])
    if not constant.any() or len(rows) < 2:
        return
    enormous = _find_enormous(sample, rows, constant)
    if enormous is not None:
        yield _explain_enormous(sample, *enormous)
        return
    names = [sample.column_name(i) for i in np.flatnonzero(constant).tolist()]
    yield Finding(
        "constant-columns",
        "warning" if constant.all() else "note",
        {"columns": names[:MAX_EVIDENCE], "count": len(names), "of": len(constant)},
        Message(
            "{count} of {count_2} columns have the same value in all training rows: {names}",
            count=len(names),
            count_2=len(constant),
            names=join_names(names),
        ),
        Message(
            "use drop={names}: they cannot help, and another value in a later row would mislead",
            names=",".join(names[:MAX_NAMES]),
        ),
    )


def _find_enormous(sample: Sample, rows: np.ndarray, constant: np.ndarray) -> tuple[int, float, float] | None:
    """Return the constant column that is farthest from its value in other parts, that distance, and the median scale.

    Only rows that the network gets as they are show what it was divided by; those of a run are scaled later.

    Args:
        sample: the rows of all parts.
        rows: the training rows that are examined.
        constant: whether a column is constant ``(D,)``.
    """
    other_rows = np.concatenate([sample.draw_rows(part) for part in ("validation", "test")])
    if not sample.raw or constant.all() or not len(other_rows):
        return None
    x, held_out = (np.asarray(sample.x[part], np.float64) for part in (rows, other_rows))
    scale = float(np.median(np.where(np.isfinite(x), x, 0.0)[:, ~constant].std(0)))
    change = np.abs(held_out - x[:1])
    distances = np.where(np.isfinite(change), change, 0.0).max(0)
    column = int(np.where(constant, distances, 0.0).argmax())
    is_enormous = scale > 0 and distances[column] > MIN_RATIO * scale
    return (column, float(distances[column]), scale) if is_enormous else None


def _explain_enormous(sample: Sample, column: int, distance: float, scale: float) -> Finding:
    name = sample.column_name(column)
    return Finding(
        "constant-columns",
        "warning",
        {"columns": [name], "distance": distance, "standard deviation of the others": scale},
        Message(
            "{name} has the same value in all training rows, and is {distance} away from it in other "
            "rows, where the standard deviation of the other columns is {scale}: it was divided by a "
            "standard deviation of nearly 0",
            name=name,
            distance=f"{distance:.3g}",
            scale=f"{scale:.3g}",
        ),
        Message(
            "leave such a column as it is: divide by 1 where the standard deviation of the training rows "
            "is 0, or drop it",
        ),
    )


def _is_constant(x: np.ndarray) -> np.ndarray:
    """Return for each column whether all rows have the same value, or all of them none ``(D,)``."""
    constant: np.ndarray = np.all((x == x[:1]) | (np.isnan(x) & np.isnan(x[:1])), axis=0)
    return constant
