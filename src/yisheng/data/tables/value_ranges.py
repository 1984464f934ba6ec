"""The ranges of numbers in training, and later values outside of them: another unit, decimal mark or missing code.

A later file whose numbers are 1000 times smaller is read without an error. Of rows that are like those of training, few
lie outside the range of training, so that a column most of whose rows do is one of other quantities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.messages import Message
from yisheng.data.tables.text_parts import LENGTH, NUMBER

MIN_OUTSIDE_ROWS, MIN_OUTSIDE_FRACTION = 5, 0.5
"""Rows outside the range of training, and their fraction of those with a value, above which they are reported."""
MAX_DISTANCE = 10.0
"""Distance from the range of training, in multiples of its width, above which a single row is reported."""


def record_ranges(columns: Sequence[Column], x: np.ndarray) -> tuple[Column, ...]:
    """Return the columns with the ranges of their numbers in training.

    Args:
        columns: the features.
        x: their values in the training table ``(N, D)``, NaN where missing.

    >>> record_ranges([Column("a"), Column("b", "category", ("x",))], np.array([[1.0, 0], [np.nan, 0], [3, 0]]))[0]
    Column(name='a', kind='number', categories=())
    >>> record_ranges([Column("a")], np.array([[1.0], [np.nan], [3.0]]))[0].value_range
    (1.0, 3.0)
    """
    recorded = []
    for index, column in enumerate(columns):
        has_range = column.kind == "number" and not column.date_part and column.text_part in ("", NUMBER, LENGTH)
        values = x[:, index] if has_range else x[:0, 0]
        low, high = (float(f.reduce(values, initial=np.nan)) for f in (np.fmin, np.fmax))
        is_finite = np.isfinite(low) and np.isfinite(high)
        recorded.append(replace(column, value_range=(low, high)) if is_finite else column)
    return tuple(recorded)


def find_outside(column: Column, values: np.ndarray) -> np.ndarray:
    """Return which rows hold numbers unlike those of training, bool ``(N,)``; none unless most do, or they are far.

    Args:
        column: the feature, with its range in training.
        values: its numbers ``(N,)``, NaN where missing.

    >>> find_outside(Column("a", value_range=(10.0, 20.0)), np.array([11.0, 21.0, -999.0])).tolist()
    [False, False, True]
    """
    if not column.value_range:
        return np.zeros(len(values), bool)
    low, high = column.value_range
    with np.errstate(invalid="ignore"):
        margin = 1e-6 * max(abs(low), abs(high))  # of single precision
        is_outside = (values < low - margin) | (values > high + margin)
        if not is_outside.any():
            return is_outside
        count = int(is_outside.sum())
        if count >= MIN_OUTSIDE_ROWS and count > MIN_OUTSIDE_FRACTION * np.isfinite(values).sum():
            return is_outside
        distance = MAX_DISTANCE * (high - low) if high > low else np.inf
        is_far: np.ndarray = (values < low - distance) | (values > high + distance)
        return is_far


def describe_outside(column: Column) -> Message:
    """Return what is unlike training about values that `find_outside` finds."""
    low, high = (f"{value:.6g}" for value in column.value_range)
    if column.text_part == LENGTH:
        return Message("texts of another length than in training, {low} to {high} characters", low=low, high=high)
    return Message("numbers outside those of training, {low} to {high}", low=low, high=high)
