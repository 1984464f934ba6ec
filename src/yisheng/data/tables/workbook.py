"""The first sheet of an Excel workbook (.xlsx) as a table: cells have types, so that no form of numbers is guessed."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core.errors import DataError, MissingPartError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message, plural_message
from yisheng.data.tables.headers import distinct_names
from yisheng.data.tables.literals import is_missing
from yisheng.data.tables.reading_options import AUTO, ReadingOptions
from yisheng.data.tables.sheet_marks import fill_merged, read_marks, report_formulas
from yisheng.data.tables.unicode_forms import normalize_text

if TYPE_CHECKING:
    import pandas as pd

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm")
MAX_CELLS = 1 << 24
"""Cells that are read: each takes about 100 bytes in between."""


def read_workbook(path: Path, options: ReadingOptions) -> tuple[pd.DataFrame, bool, tuple[Finding, ...]]:
    """Return the first sheet with values as a DataFrame, whether it names its columns, and findings about it.

    Args:
        path: the file.
        options: the user's choices, of which ``skip``, ``header`` and ``names`` apply.

    Raises:
        DataError: the file cannot be read, or has no table.
        MissingPartError: openpyxl is not installed.
    """
    rows, findings = _read_sheet(path)
    skip = options.skip if isinstance(options.skip, int) else _count_titles(rows)
    if skip:
        findings.append(_report_titles(path, rows[:skip]))
    rows = rows[skip:]
    width = max((_width(row) for row in rows), default=0)
    if not width:
        raise DataError(
            Message("{path} has no table in its first sheet", path=path),
            Message("write names in the first row, and the rows below"),
        )
    table = [[*row[:width], *[None] * (width - len(row))] for row in rows]
    has_header = _has_header(table[0]) if options.header == AUTO else bool(options.header)
    cells = [normalize_text(str(value)) if value is not None and has_header else "" for value in table[0]]
    names, renamed = distinct_names(options.names or cells)
    if renamed and has_header:
        listed = ", ".join(renamed[:5])
        cause = Message(
            "{file} names columns twice or not at all: {names}; they were renamed", file=path.name, names=listed
        )
        findings.append(
            Finding(
                "header", "warning", {"columns": list(renamed)}, cause, Message("give every column a distinct name")
            )
        )
    body = table[has_header:]
    if not body:
        raise DataError(Message("{path} has no rows below its header", path=path), Message("give at least a few rows"))
    if len(names) != width:
        raise DataError(
            Message("{path} has {columns} columns, names= has {names}", path=path, columns=width, names=len(names)),
            Message("give a name for each column"),
        )
    return _make_frame(body, names), has_header, tuple(findings)


def _read_sheet(path: Path) -> tuple[list[tuple[Any, ...]], list[Finding]]:
    """Return the rows of the first sheet that has values, visible ones first, and findings about it."""
    try:
        openpyxl: Any = importlib.import_module("openpyxl")
    except Exception:
        raise MissingPartError(
            Message("{path} needs openpyxl, which reads workbooks", path=path),
            Message('pip install "yisheng[excel]", or save it as CSV UTF-8'),
        ) from None
    if not path.exists():
        raise DataError(Message("{path} does not exist", path=path), Message("check the path"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions that are not read
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                visible = sorted(book.worksheets, key=lambda sheet: sheet.sheet_state != "visible")
                sheets = {sheet.title: _read_rows(path, sheet) for sheet in visible}
            finally:
                book.close()
    except DataError:
        raise
    except Exception as error:  # a damaged workbook raises errors of zip, XML and openpyxl
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            Message("{path} cannot be read as a workbook: {reason}", path=path, reason=reason),
            Message("save it again, or as CSV UTF-8"),
        ) from None
    filled = {title: rows for title, rows in sheets.items() if rows}
    if not filled:
        raise DataError(
            Message("{path} has no values", path=path), Message("give a workbook with a table in its first sheet")
        )
    title, rows = next(iter(filled.items()))
    marks = read_marks(path, title)
    rows, findings = fill_merged(rows, marks, path)
    findings += report_formulas(marks, path)
    if len(filled) == 1:
        return rows, findings
    unread = [name for name in filled if name != title]
    finding = Finding(
        "sheets",
        "warning",
        {"sheet": title, "unread": unread},
        Message(
            "{file} has {count} sheets with values: only {title} is read",
            file=path.name,
            count=len(filled),
            title=f"{title!r}",
        ),
        Message("save another sheet as a file of its own to use it"),
    )
    return rows, [*findings, finding]


def _read_rows(path: Path, sheet: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a sheet up to the last one with a value."""
    rows: list[tuple[Any, ...]] = []
    cells = last = 0
    for row in sheet.iter_rows(values_only=True):
        filled = row[: _width(row)]
        rows.append(filled)
        cells += len(filled)
        last = len(rows) if filled else last
        if cells > MAX_CELLS:
            raise DataError(
                Message("{path} has more than {limit} cells", path=path, limit=f"{MAX_CELLS:,}"),
                Message("save it as CSV UTF-8 or Parquet"),
            )
    return rows[:last]


def _width(row: Sequence[Any]) -> int:
    """Return the number of cells up to the last one with a value."""
    return next((n for n in range(len(row), 0, -1) if row[n - 1] is not None), 0)


def _count_titles(rows: Sequence[Sequence[Any]]) -> int:
    """Return the number of rows above the table: empty ones, and titles of a single cell above wider rows."""
    width = max(map(_width, rows))
    filled = [sum(value is not None for value in row) for row in rows]
    return next((n for n, count in enumerate(filled) if count > 1 or (count and width < 2)), 0)


def _report_titles(path: Path, rows: Sequence[Sequence[Any]]) -> Finding:
    first = next((str(value) for row in rows for value in row if value is not None), "")
    return Finding(
        "lines above",
        "note",
        {"lines": len(rows), "first": first[:60]},
        plural_message(
            len(rows),
            "{file}: {count} row above the table skipped: {title}",
            "{file}: {count} rows above the table skipped: {title}",
            file=path.name,
            count=len(rows),
            title=f"{first[:60]!r}",
        ),
        Message("if they belong to the table, use skip=0"),
    )


def _has_header(first: Sequence[Any]) -> bool:
    """Return whether the first row names the columns: it holds texts alone, or whole numbers such as years."""
    texts = [value for value in first if isinstance(value, str) and not is_missing(value)]
    return bool(texts) and all(value is None or isinstance(value, str | int) for value in first)


def _make_frame(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    columns = {name: _to_series([row[n] for row in rows]) for n, name in enumerate(names)}
    return pd.DataFrame(columns)


def _to_series(values: list[Any]) -> pd.Series:
    """Return cells of one type as that type; of several types as objects."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int, float}:
        if None not in values and kinds == {int} and all(abs(value) < 2**63 for value in values):
            return pd.Series(np.array(values, np.int64))
        return pd.Series(np.array([np.nan if value is None else float(value) for value in values]))
    return pd.Series(values, dtype=object)
