"""Rows of a DataFrame, matched with the columns of the training data as those of a file are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.tables import files
from yisheng.data.tables.encode import encode_columns
from yisheng.data.tables.frame_columns import flatten_columns
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.inference.rows import Rows, describe_unusable_values

if TYPE_CHECKING:
    import pandas as pd


def is_dataframe(value: Any) -> TypeGuard[pd.DataFrame]:
    """Return whether a value is a DataFrame, without importing pandas: if nobody has imported it, nothing is one."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def is_series(value: Any) -> TypeGuard[pd.Series]:
    """Return whether a value is a pandas Series, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.Series)


def read_dataframe(frame: pd.DataFrame, spec: Spec, name: str = "the DataFrame") -> Rows:
    """Return rows as float32 ``(N, D)``; columns are matched by name, in any order, and further ones are ignored.

    Args:
        frame: for a model that was trained on a table, its raw columns: categories, dates and missing values as in
            training; for other models, finite numbers.
        spec: a contract for rows.
        name: of the rows in an error.

    Raises:
        DataError: a column is missing, a value is not a number or date as in training, or there are no rows.

    >>> import pandas as pd
    >>> from yisheng.core.columns import Column
    >>> spec = Spec("regression", (2,), columns=(Column("size"), Column("rooms")))
    >>> read_dataframe(pd.DataFrame({"rooms": [3], "town": ["a"], "size": [80.5]}), spec).x.tolist()
    [[80.5, 3.0]]
    """
    if not spec.is_row:
        raise DataError(
            Message("the model takes {description}, got a DataFrame", description=spec.description),
            Message("give an array of that shape"),
        )
    if not len(frame):
        raise DataError(Message("{name} has no rows", name=name), Message("give at least one"))
    frame = flatten_columns(frame)
    if any(column.source for column in spec.columns):
        table = files.table_from_frame(frame, ReadingOptions(is_later=True))
        x, unusable = encode_columns(dict(table.columns), spec.columns, name)
        notes = [finding.cause for finding in table.findings if finding.severity != "note"]
        return Rows(x, notes=(*notes, *describe_unusable_values(unusable)))
    names = [column.name for column in spec.columns] or list(frame.columns)
    missing = [name for name in names if name not in frame.columns]
    if missing or len(names) != spec.shape[0]:
        columns = spec.shape[0]
        raise DataError(
            Message(
                "{name} lacks {missing}, the model takes {columns} columns",
                name=name,
                missing=", ".join(map(str, missing[:5])),
                columns=columns,
            )
            if missing
            else Message(
                "{name} has {count} columns, the model takes {columns} columns",
                name=name,
                count=len(names),
                columns=columns,
            ),
            Message("name the columns as in training"),
        )
    try:
        x = np.array(frame[names].to_numpy(np.float32), order="C")
    except (ValueError, TypeError) as error:
        raise DataError(
            Message("{name} contains values that are not numbers: {error}", name=name, error=error),
            Message("give numbers"),
        ) from None
    if not np.isfinite(x).all():
        raise DataError(
            Message("{name} contains missing, infinite or too large values", name=name),
            Message("remove or replace them"),
        )
    return Rows(x)
