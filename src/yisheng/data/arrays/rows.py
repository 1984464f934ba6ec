"""Rows in arrays as a table, whose columns are numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data.arrays.array_file import open_arrays
from yisheng.data.arrays.roles import ArrayRoles, find_roles
from yisheng.data.tables.raw_column import RawColumn, column_from_series
from yisheng.data.tables.scan import MAX_COLUMNS, MAX_VALUES
from yisheng.data.tables.table import Table


def read_rows(path: Path) -> Table:
    """Read the training rows in a file of arrays: x (N, D), and y (N,) or (N, T) if there is one.

    Raises:
        DataError: the file cannot be read, or holds no rows.
        MissingPartError: it is HDF5, and h5py is not installed.
    """
    with open_arrays(path) as arrays:
        roles: ArrayRoles = find_roles(str(path), arrays, {})
        x = arrays[roles.x["train"]].read()
        y = arrays[roles.y["train"]].read() if "train" in roles.y else None
    return table_from_arrays(str(path), x, y)


def table_from_arrays(source_name: str, x: np.ndarray, y: np.ndarray | None, names: Sequence[str] = ()) -> Table:
    """Return rows and targets as a table.

    Args:
        source_name: the file, for errors.
        x: ``(N, D)`` or ``(N,)``, numbers or texts.
        y: ``(N,)`` or ``(N, T)``, or None.
        names: names of the columns; ``column-1`` and so on by default.

    Raises:
        DataError: the arrays have other shapes or types, or different numbers of rows.
    """
    columns = _split_columns(source_name, "x", x, names, "column-")
    if y is not None:
        targets = _split_columns(source_name, "y", y, (), "y-")
        if len(y) != len(x):
            raise DataError(
                Message(
                    "{source_name}: x has {x_rows} rows, y has {y_rows}",
                    source_name=source_name,
                    x_rows=len(x),
                    y_rows=len(y),
                ),
                Message("save them from the same rows"),
            )
        columns |= {"y": replace(targets["y-1"], name="y")} if len(targets) == 1 else targets
    return Table(columns, has_header=False)


def _split_columns(
    source_name: str, array_name: str, array: np.ndarray, names: Sequence[str], prefix: str
) -> dict[str, RawColumn]:
    import pandas as pd

    label = f"{source_name}: {array_name}"
    if array.ndim not in (1, 2):
        raise DataError(
            Message("{label} must hold rows (N, D), got an array of shape {shape}", label=label, shape=array.shape),
            Message("for images use data=arrays path=FILE"),
        )
    rows = array.reshape(len(array), -1) if len(array) else array.reshape(0, 1)
    if not rows.size:
        raise DataError(
            Message(
                "{label} has {rows} rows and {columns} columns",
                label=label,
                rows=rows.shape[0],
                columns=rows.shape[1],
            ),
            Message("give at least a few rows"),
        )
    if rows.shape[1] > MAX_COLUMNS or rows.size > MAX_VALUES:
        raise DataError(
            Message(
                "{label} has {rows} rows and {columns} columns, more than the {max_columns} columns or "
                "{max_values} values that are read",
                label=label,
                rows=f"{rows.shape[0]:,}",
                columns=f"{rows.shape[1]:,}",
                max_columns=f"{MAX_COLUMNS:,}",
                max_values=f"{MAX_VALUES:,}",
            ),
            Message("drop columns, or take a sample of its rows"),
        )
    if rows.dtype.kind not in "fiubUS":
        raise DataError(
            Message("{label} must hold numbers or text, got {dtype}", label=label, dtype=rows.dtype),
            Message("convert it before saving"),
        )
    if rows.dtype.kind == "f":
        rows = rows.astype(np.float64)
    if names and len(names) != rows.shape[1]:
        raise DataError(
            Message(
                "{label} has {columns} columns, names= has {count}",
                label=label,
                columns=rows.shape[1],
                count=len(names),
            ),
            Message("give a name for each column"),
        )
    column_names = list(names) or [f"{prefix}{n + 1}" for n in range(rows.shape[1])]
    return {
        name: column_from_series(name, pd.Series(np.ascontiguousarray(rows[:, n])))
        for n, name in enumerate(column_names)
    }
