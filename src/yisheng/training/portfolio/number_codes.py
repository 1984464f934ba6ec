"""Which columns of whole numbers are categories, too, and which of their numbers have a code.

The number of a shop, a person or an article is a category that is written as a number, and years, months or grades may
be learned better one by one than by their order. What a column is cannot be values; so these columns become categories
besides the numbers that they are, for some candidates of an ensemble, whose weights show whether that was right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.models._number_codes import NumberCodes
from yisheng.training.portfolio.appended_columns import append_columns

MIN_NUMBERS, MAX_NUMBERS = 10, 1000
"""Different numbers of a column: fewer are learned as well by their order, more would be too wide."""
MIN_ROWS_PER_NUMBER = 3
"""Rows in the mean: from fewer little can be learned about a number."""
MAX_RANGE = 1_000_000
"""Between the smallest number and the largest one: single precision tells so many apart."""
MAX_ROUNDING = 0.2
"""Distance of a scaled number from its place: less than half, or it would be taken for its neighbor."""
ROWS_TO_LOOK_AT = 100_000


@dataclass(frozen=True)
class WholeNumbers:
    """A column of whole numbers, as it is scaled.

    Args:
        column: its position.
        start: scaled value of its smallest number.
        step: difference of the scaled values of two numbers that follow one another.
        count: its different numbers, in the rows that were looked at.
    """

    column: int
    start: float
    step: float
    count: int


def find_whole_numbers(source: Dataset, rows: np.ndarray, scaled: np.ndarray) -> tuple[WholeNumbers, ...]:
    """Return the columns of numbers that may be codes: whole, repeated, of neither few nor very many values.

    Args:
        source: rows as they are in the table.
        rows: numbers of the training rows.
        scaled: the training rows, scaled ``(N, D)``.
    """
    step = max(1, len(rows) // ROWS_TO_LOOK_AT)
    x = np.asarray(source.x[rows[::step]])
    columns = []
    for position, column in enumerate(source.spec.columns):
        if column.kind != "number" or column.text_part:
            continue
        present = ~np.isnan(x[:, position])
        numbers = np.unique(x[present, position].astype(np.float64))
        is_count = MIN_NUMBERS <= len(numbers) <= min(MAX_NUMBERS, present.sum() / MIN_ROWS_PER_NUMBER)
        if not is_count or (numbers != np.round(numbers)).any() or numbers[-1] - numbers[0] > MAX_RANGE:
            continue
        values = scaled[::step][present, position].astype(np.float64)
        low, width = float(values.min()), float(np.ptp(values)) / (numbers[-1] - numbers[0])
        is_evenly_scaled = width > 0 and np.allclose(
            (values - low) / width, x[present, position] - numbers[0], rtol=0, atol=MAX_ROUNDING
        )
        if is_evenly_scaled:
            columns.append(WholeNumbers(position, low, float(width), len(numbers)))
    return tuple(columns)


def add_number_codes(
    data: Dataset, rows: np.ndarray, columns: Sequence[WholeNumbers]
) -> tuple[Dataset, Mapping[str, Any]]:
    """Return data with whole numbers as further columns of categories, and what `NumberCodes` is built from.

    Args:
        data: scaled rows.
        rows: the training rows, whose numbers get a code.
        columns: of the numbers.
    """
    numbers = []
    for column in columns:
        values = data.x[rows, column.column].astype(np.float64)
        different = np.round((np.unique(values[~np.isnan(values)]) - column.start) / column.step)
        numbers.append(np.unique(different[different >= 0]).astype(np.int64).tolist() or [0])
    plain = {
        "columns": [column.column for column in columns],
        "starts": [column.start for column in columns],
        "steps": [column.step for column in columns],
        "numbers": numbers,
    }
    codes = NumberCodes(plain)
    return replace(data, x=append_columns(codes, data.x), spec=codes.spec(data.spec)), plain
