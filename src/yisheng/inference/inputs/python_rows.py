"""Rows that are typed in Python: one or several, as lists of values or as dicts by column name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.tables.later_tables import source_names
from yisheng.inference.dataframes import read_dataframe
from yisheng.inference.inputs.block import InputBlock, describe, place_on_first, refuse

if TYPE_CHECKING:
    import pandas as pd


def read_frame(frame: pd.DataFrame, spec: Spec, name: str = "the DataFrame") -> InputBlock:
    """Return the rows of a DataFrame, named by their numbers.

    Raises:
        DataError: a column is missing, or a value is not as in training.
    """
    table = read_dataframe(frame, spec, name)
    names = [str(number) for number in range(len(table.x))]
    return InputBlock(table.x, names, place_on_first(table.notes, len(names)))


def read_mapping(row: Mapping[Any, Any], spec: Spec) -> InputBlock:
    """Return one row, or several if the values are lists, of a dict by column name.

    Raises:
        DataError: a column is missing, or a value is not as in training.
    """
    import pandas as pd

    are_columns = [_is_column(value) for value in row.values()]
    if not row or any(are_columns) != all(are_columns):
        refuse(describe(row), spec)
    try:
        return read_frame(pd.DataFrame(dict(row) if all(are_columns) else [dict(row)]), spec, "the dict")
    except ValueError as error:  # columns of different lengths
        raise DataError(
            Message("the columns do not fit one another: {error}", error=error), Message("give lists of one length")
        ) from None


def read_rows(rows: Sequence[Any], spec: Spec) -> InputBlock:
    """Return one row of values, or several rows: lists, tuples, dicts or arrays.

    The values of a row are in the order of the columns of training; for a model that was trained on a table, one value
    for each of its raw columns, as its file writes them.

    Raises:
        DataError: the rows are not such rows, differ in length, or hold values that are not as in training.
    """
    import pandas as pd

    if all(map(_is_value, rows)):
        rows = [rows]
    if all(isinstance(row, Mapping) for row in rows):
        return read_frame(pd.DataFrame([dict(row) for row in rows]), spec, Message("the list of dicts"))
    rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]
    width = len(source_names(spec)) or spec.shape[0]
    for number, row in enumerate(rows):
        if not isinstance(row, Sequence) or isinstance(row, str | bytes) or not all(map(_is_value, row)):
            refuse(Message("{row} as row {number}", row=describe(row), number=number), spec)
        if len(row) != width:
            raise DataError(
                Message(
                    "row {number} has {count} values, the model takes {width}",
                    number=number,
                    count=len(row),
                    width=width,
                ),
                _name_columns(spec),
            )
    if not source_names(spec):
        return _read_numbers(rows)
    return read_frame(
        pd.DataFrame([list(row) for row in rows], columns=source_names(spec)), spec, Message("the list of rows")
    )


def _read_numbers(rows: Sequence[Sequence[Any]]) -> InputBlock:
    for number, row in enumerate(rows):
        for value in row:
            if value is None or isinstance(value, str):
                raise DataError(
                    Message("row {number} holds {value}, not a number", number=number, value=f"{value!r}"),
                    Message("give finite numbers"),
                )
    with np.errstate(over="ignore"):
        x = np.array(rows, np.float64).astype(np.float32)
    if not np.isfinite(x).all():
        raise DataError(Message("the rows contain NaN, infinite or too large values"), Message("give finite numbers"))
    return InputBlock.from_array(x)


def _is_value(value: Any) -> bool:
    """Return whether a value can be that of one column: a number, text, a date, or None."""
    return value is None or isinstance(value, str | Number | np.generic) or hasattr(value, "isoformat")


def _is_column(value: Any) -> bool:
    return not _is_value(value)


def _name_columns(spec: Spec) -> str:
    names = source_names(spec) or [column.name for column in spec.columns]
    if names:
        return Message("give one value for each of {names}", names=", ".join(names[:10]))
    return Message("give one value per column")
