"""The bytes of a table, written by pandas, polars, openpyxl, or as Excel and other programs write CSV."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pandas as pd
from benchmarks.round_trips.columns import TIMED, TrueColumn
from benchmarks.round_trips.dialects import Dialect


def write_table(columns: Sequence[TrueColumn], rows: range, dialect: Dialect) -> bytes:
    """Return the file of some rows.

    Args:
        columns: the columns in the order of the file.
        rows: the rows to write.
        dialect: how they are written.
    """
    if dialect.program == "pandas":
        return _write_with_pandas(columns, rows, dialect)
    if dialect.program == "polars":
        return _write_with_polars(columns, rows, dialect)
    if dialect.program == "xlsx":
        return _write_workbook(columns, rows)
    return _write_text(columns, rows, dialect)


def _write_text(columns: Sequence[TrueColumn], rows: range, dialect: Dialect) -> bytes:
    def quote(text: str, is_text: bool) -> str:
        needs_quotes = any(char in text for char in (dialect.separator, '"', "\n", "\r")) or text != text.strip()
        if needs_quotes or dialect.quoting == "all" or (dialect.quoting == "strings" and is_text):
            doubled = text.replace('"', '""')
            return f'"{doubled}"'
        return text

    lines = [*dialect.first_lines, dialect.separator.join(quote(column.name, True) for column in columns)]
    for row in rows:
        cells = (quote(column.texts[row], column.kind in ("category", "code")) for column in columns)
        lines.append(dialect.separator.join(cells))
    return dialect.line_end.join([*lines, ""]).encode(dialect.encoding)


def make_frame(columns: Sequence[TrueColumn], rows: range) -> pd.DataFrame:
    """Return typed values as a DataFrame."""
    return pd.DataFrame({column.name: _to_series([column.values[row] for row in rows], column) for column in columns})


def _to_series(values: list[Any], column: TrueColumn) -> pd.Series:
    if column.kind == "date":
        return pd.Series(pd.to_datetime(pd.Series(values)))
    if column.kind == "number" and not all(isinstance(value, int) for value in values if value is not None):
        return pd.Series(values, dtype="float64")
    if column.kind == "number" and None in values:
        return pd.Series(values, dtype="Int64")
    return pd.Series(values, dtype=None if None not in values else object)


def _write_with_pandas(columns: Sequence[TrueColumn], rows: range, dialect: Dialect) -> bytes:
    import csv

    quoting = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "strings": csv.QUOTE_NONNUMERIC}[dialect.quoting]
    has_times = any(column.kind == "date" and column.flavor in TIMED for column in columns)
    file = io.BytesIO()
    make_frame(columns, rows).to_csv(
        file,
        sep=dialect.separator,
        decimal=dialect.decimal,
        encoding=dialect.encoding,
        date_format=dialect.date_form + " %H:%M:%S" * has_times,
        na_rep=dialect.missing,
        quoting=quoting,
        lineterminator=dialect.line_end,
        index=dialect.quoting == "strings",
    )
    return file.getvalue()


def _write_with_polars(columns: Sequence[TrueColumn], rows: range, dialect: Dialect) -> bytes:
    import polars as pl

    types = {"number": pl.Float64, "date": pl.Datetime, "yes/no": pl.Boolean, "category": pl.String, "code": pl.String}
    series = []
    for column in columns:
        values = [column.values[row] for row in rows]
        is_whole = column.kind == "number" and all(isinstance(value, int) for value in values if value is not None)
        series.append(pl.Series(column.name, values, pl.Int64 if is_whole else types[column.kind]))
    text = pl.DataFrame(series).write_csv(
        separator=dialect.separator,
        datetime_format=dialect.date_form + " %H:%M:%S",
        decimal_comma=dialect.decimal == ",",
        null_value=dialect.missing,
        line_terminator=dialect.line_end,
        quote_style={"minimal": "necessary", "all": "always", "strings": "non_numeric"}[dialect.quoting],
    )
    return text.encode(dialect.encoding)


def _write_workbook(columns: Sequence[TrueColumn], rows: range) -> bytes:
    import openpyxl

    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.append([column.name for column in columns])
    for row in rows:
        sheet.append([column.values[row] for column in columns])
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()
