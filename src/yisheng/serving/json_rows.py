"""Rows in JSON, by the columns of training: the same values as in a table file, but numbers may be JSON numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.tables.encode import encode_columns
from yisheng.data.tables.later_tables import source_names
from yisheng.data.tables.raw_column import RawColumn, format_number, merge_categories
from yisheng.data.tables.unicode_forms import normalize_text
from yisheng.inference.rows import describe_unusable_values, parse_rows

MAX_NAMED_COLUMNS = 5
MAX_EXACT_INTEGER, MAX_INTEGER = 2**53, 10**308
"""Integers from which double precision loses digits, so that they are kept as texts; and the largest one."""


def parse_json_rows(values: Sequence[Any], spec: Spec) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return inputs, float32 ``(N, D)``, and notes on values that could not be used.

    Args:
        values: objects with a value for each column by name (further keys are ignored), or lists in the order of the
            columns. A value is a number, a text as the file would contain it, true, false, or null if it is unknown.
        spec: a contract for rows.

    Raises:
        DataError: a row is something else, a column is missing, or a value does not fit its column.

    >>> spec = Spec("regression", (2,), columns=(Column("a"), Column("b")))
    >>> parse_json_rows([{"b": 2, "a": 1.5}, [3, 4]], spec)
    (array([[1.5, 2. ],
           [3. , 4. ]], dtype=float32), ())
    """
    names = column_names(spec)
    table = [_list_values(value, number, names, spec.shape[0]) for number, value in enumerate(values, 1)]
    if not source_names(spec):
        return parse_rows([[format_value(value) for value in row] for row in table], spec, "rows"), ()
    columns = columns_by_name(spec)
    raw_columns = {
        name: _to_raw_column(name, [row[index] for row in table], columns[name]) for index, name in enumerate(names)
    }
    x, unusable = encode_columns(raw_columns, spec.columns, "rows")
    return x, tuple(describe_unusable_values(unusable))


def column_names(spec: Spec) -> list[str]:
    """Return the names of a row's columns, those of the training file; empty if it had no names.

    >>> column_names(Spec("regression", (2,), columns=(Column("a"), Column("b"))))
    ['a', 'b']
    """
    return source_names(spec) or [column.name for column in spec.columns]


def columns_by_name(spec: Spec) -> dict[str, Column]:
    """Return the columns of a row by name; of a date, which becomes several features, the first."""
    return {column.source or column.name: column for column in reversed(spec.columns)}


def format_value(value: Any, column: Column | None = None) -> str:
    """Return a value as a table file contains it; true and false become the words of a yes/no column.

    >>> format_value(3.0), format_value(None), format_value(True)
    ('3', '', 'true')
    """
    if isinstance(value, bool):
        is_yes_no = column is not None and column.kind == "yes/no" and not column.text_part
        if column is not None and is_yes_no and len(column.categories) == 2:
            return column.categories[value]
        return str(value).lower()
    if value is None:
        return ""
    return value if isinstance(value, str) else format_number(value)


def format_row(row: Any, spec: Spec) -> list[str]:
    """Return the values of a row that `parse_json_rows` accepts as a table file contains them, in column order."""
    columns, names = columns_by_name(spec), column_names(spec)
    values = _list_values(row, 1, names, spec.shape[0])
    return [
        format_value(value, columns.get(name)) for value, name in zip(values, names or [""] * len(values), strict=True)
    ]


def _list_values(row: Any, number: int, names: Sequence[str], width: int) -> list[Any]:
    """Return the values of a row in column order; the row's number is for errors."""
    if isinstance(row, dict) and names:
        if any(name not in row for name in names):  # names that look alike are the same
            spellings = {normalize_text(key): key for key in row}
            row = {name: row[spellings[key]] for name in names if (key := normalize_text(name)) in spellings}
        missing = [name for name in names if name not in row]
        if missing:
            unnamed = len(missing) - MAX_NAMED_COLUMNS
            listed = ", ".join(missing[:MAX_NAMED_COLUMNS]) + f" and {unnamed} more" * (unnamed > 0)
            raise DataError(
                Message("row {number} lacks {listed}", number=number, listed=listed),
                Message("give a value for every column; null if it is unknown"),
            )
        values = [row[name] for name in names]
    elif isinstance(row, list):
        width = len(names) or width
        if len(row) != width:
            raise DataError(
                Message(
                    "row {number} has {count} values, the model takes {width}",
                    number=number,
                    count=len(row),
                    width=width,
                ),
                Message("give one value for each column"),
            )
        values = row
    else:
        raise DataError(
            Message("row {number} is neither an object nor a list", number=number),
            Message("send an object with a value for each column"),
        )
    for index, value in enumerate(values):
        if isinstance(value, dict | list):
            name = names[index] if names else f"column {index + 1}"
            raise DataError(
                Message("row {number}, {name}: the value must be a number, text or null", number=number, name=name),
                Message("send plain values"),
            )
    return values


def _to_raw_column(name: str, values: Sequence[Any], column: Column) -> RawColumn:
    """Return a column as if it had been read from a file."""
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
        if not any(isinstance(value, int) and abs(value) >= MAX_EXACT_INTEGER for value in values):
            return RawColumn(name, numbers=np.array([np.nan if value is None else float(value) for value in values]))
        if any(isinstance(value, int) and abs(value) > MAX_INTEGER for value in values):
            raise DataError(Message("{name}: an integer is too large", name=name), Message("send numbers below 1e308"))
    codes = np.array([-1 if value is None else index for index, value in enumerate(values)], np.int32)
    return merge_categories(name, codes, [format_value(value, column) for value in values]).normalize()
