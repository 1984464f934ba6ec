"""Rows in JSON, by the columns of training: the same values as in a table's file, with numbers that are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Column, Spec
from yisheng.data.tables.encode import encode
from yisheng.data.tables.raw_column import Raw, merged, written
from yisheng.inference import rows


def read(values: Sequence[Any], spec: Spec) -> tuple[np.ndarray, tuple[str, ...]]:
    """Inputs float32 ``(N, D)``, and what was noticed.

    Args:
        values: objects, with a value for each column by name (further keys are left out), or lists in the order of
            the columns. A value is a number, a text as it would stand in the file, true, false, or null where it is
            not known.
        spec: a contract for rows.

    Raises:
        DataError: a row is something else, a column is missing, or a value does not fit its column.

    >>> spec = Spec("regression", (2,), columns=(Column("a"), Column("b")))
    >>> read([{"b": 2, "a": 1.5}, [3, 4]], spec)
    (array([[1.5, 2. ],
           [3. , 4. ]], dtype=float32), ())
    """
    first = {column.source: column for column in reversed(spec.columns) if column.source}
    wanted = names(spec)
    table = [_row(value, number, wanted, spec.shape[0]) for number, value in enumerate(values)]
    if not first:
        return rows.parse([[text(value) for value in row] for row in table], spec, "rows"), ()
    raws = {name: _raw(name, [row[place] for row in table], first[name]) for place, name in enumerate(wanted)}
    x, odd = encode(raws, spec.columns, "rows")
    return x, tuple(rows.said(odd))


def names(spec: Spec) -> list[str]:
    """The columns of a row by name: those of the file that the model was trained on; none where they have no names.

    >>> names(Spec("regression", (2,), columns=(Column("a"), Column("b"))))
    ['a', 'b']
    """
    return list(dict.fromkeys(column.source for column in spec.columns if column.source)) or [
        column.name for column in spec.columns
    ]


def text(value: Any, column: Column | None = None) -> str:
    """A value as it would stand in a file; true and false are the words of a yes/no column.

    >>> text(3.0), text(None), text(True)
    ('3', '', 'true')
    """
    if isinstance(value, bool):
        yes_no = column is not None and column.kind == "yes/no" and len(column.levels) == 2
        return column.levels[value] if column is not None and yes_no else str(value).lower()
    if value is None:
        return ""
    return value if isinstance(value, str) else written(value)


def texts(row: Any, spec: Spec) -> list[str]:
    """The values of a row that `read` takes as they would stand in a file, in the order of the columns."""
    first = {column.source or column.name: column for column in reversed(spec.columns)}
    wanted = names(spec)
    values = _row(row, 0, wanted, spec.shape[0])
    return [text(value, first.get(name)) for value, name in zip(values, wanted or [""] * len(values), strict=True)]


def _row(value: Any, number: int, names: Sequence[str], width: int) -> list[Any]:
    """The values of a row in the order of the columns."""
    if isinstance(value, dict) and names:
        lacking = [name for name in names if name not in value]
        if lacking:
            shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
            raise DataError(f"row {number + 1} lacks {shown}", "name every column; null is a value that is not known")
        row = [value[name] for name in names]
    elif isinstance(value, list):
        width = len(names) or width
        if len(value) != width:
            raise DataError(f"row {number + 1} has {len(value)} values, the model wants {width}", "one for each column")
        row = value
    else:
        raise DataError(f"row {number + 1} is neither an object nor a list", "send an object with a value by column")
    for place, one in enumerate(row):
        if isinstance(one, dict | list):
            name = names[place] if names else f"column {place + 1}"
            raise DataError(f"row {number + 1}, {name}: a number, text or null is wanted", "send plain values")
    return row


def _raw(name: str, values: Sequence[Any], column: Column) -> Raw:
    """A column as if it had been read from a file."""
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
        try:
            return Raw(name, numbers=np.array([np.nan if value is None else float(value) for value in values]))
        except OverflowError:
            raise DataError(f"{name}: a whole number is too large", "send numbers below 1e308") from None
    codes = np.array([-1 if value is None else place for place, value in enumerate(values)], np.int32)
    return merged(name, codes, [text(value, column) for value in values]).tidy()
