"""Rows from a table file or the command line, matched with the columns of the training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError
from yisheng.core.messages import Message, plural_message
from yisheng.core.spec import Spec
from yisheng.data.tables import files
from yisheng.data.tables.column_kinds import is_id_name
from yisheng.data.tables.encode import UnusableValues, encode_columns
from yisheng.data.tables.later_tables import (
    apply_number_format,
    choose_later,
    explain_missing_columns,
    match_header,
    name_columns,
    source_names,
)
from yisheng.data.tables.raw_column import RawColumn, merge_categories
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.data.tables.table import ColumnChoices, Table

MAX_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Rows:
    """The rows of a table as inputs of a model.

    Args:
        x: inputs, float32 ``(N, D)``; NaN for a missing value, -1 for a category that training has not seen.
        ids: names of the rows as the file writes them, or None.
        id_name: name of the column with these names; empty without one.
        notes: for people, on values that could not be used.
    """

    x: np.ndarray
    ids: tuple[str, ...] | None = None
    id_name: str = ""
    notes: tuple[str, ...] = ()


def read_rows(path: Path, spec: Spec, id: str = "", options: ReadingOptions = AUTOMATIC) -> Rows:
    """Read the rows of a table file (.csv, .tsv, also compressed; .parquet, .npz), and their names.

    The columns of a header row are matched by name, in any order, and further columns are ignored; without a header
    the columns must be in the order of training. A model that was trained on a table takes its raw columns:
    categories, dates and missing values as the training file writes them. Other models take finite numbers only, in
    columns that are called as the features are.

    Args:
        path: the file.
        spec: a contract for rows.
        id: the column with the names of the rows. By default, a column that the model does not take, has the name of
            an id (Id, user_id, ...) and holds a different value in every row, if there is one.
        options: the user's choices about how the file is read; by default as the training table.

    Raises:
        DataError: a column is missing, a value is not a number or date as in training, or the file is unreadable.
    """
    named = name_columns(spec)
    table = _read_table(path, named, id, options)
    ids, id_name = _find_ids(table, named, id, path)
    has_all = set(source_names(named)) <= set(table.columns)
    try:
        x, unusable = encode_columns(table.columns, apply_number_format(named.columns, options), str(path))
    except DataError as error:
        raise (error if has_all else explain_missing_columns(error, table)) from None
    if not source_names(spec):
        require_numbers(x, named.columns, str(path))
    notes = [finding.cause for finding in table.findings if finding.severity != "note"]
    return Rows(x, ids, id_name, (*notes, *describe_unusable_values(unusable)))


def parse_rows(rows: list[list[str]], spec: Spec, source_name: str) -> np.ndarray:
    """Parse rows of text to float32 ``(N, D)``.

    Args:
        rows: the values; for a model that was trained on a table, one for each of its raw columns.
        spec: a contract for rows.
        source_name: name of the source in an error.

    Raises:
        DataError: the number of values does not fit, or a value is not a finite number where the model takes one.
    """
    sources = source_names(spec)
    width = len(sources) or spec.shape[0]
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise DataError(
                Message(
                    "{source_name}: row {number} has {count} values, the model takes {width}",
                    source_name=source_name,
                    number=number,
                    count=len(row),
                    width=width,
                ),
                Message("give one value per column"),
            )
    if not rows:
        raise DataError(Message("{source_name} has no rows", source_name=source_name), Message("give at least one"))
    if not sources:
        return _parse_numbers(rows, spec, source_name)
    raw_columns = {}
    for index, name in enumerate(sources):
        texts = [row[index] for row in rows]
        raw_columns[name] = merge_categories(name, np.arange(len(texts), dtype=np.int32), texts).normalize()
    return encode_columns(raw_columns, spec.columns, source_name)[0]


def describe_unusable_values(unusable: Sequence[UnusableValues]) -> list[str]:
    """Return a sentence for each column about its values that became missing or unknown."""
    sentences: list[str] = []
    for values in unusable:
        facts = {"column": values.column, "problem": values.problem, "row": values.first_row + 1}
        sentences.append(
            plural_message(
                values.row_count - 1,
                "{column}: {problem} (row {row} and {count} more such row)",
                "{column}: {problem} (row {row} and {count} more such rows)",
                count=values.row_count - 1,
                **facts,
            )
            if values.row_count > 1
            else Message("{column}: {problem} (row {row})", **facts)
        )
    return sentences


def is_finite_number(text: str) -> bool:
    """Return whether a text is a number that single precision can hold.

    >>> is_finite_number("-1.5e3"), is_finite_number("nan"), is_finite_number("1e300"), is_finite_number("5_1")
    (True, False, False, False)
    """
    try:
        return "_" not in text and abs(float(text)) <= MAX_FLOAT32  # false for NaN; Python alone would read 5_1 as 51
    except ValueError:
        return False


def _read_table(path: Path, spec: Spec, id: str, options: ReadingOptions) -> Table:
    """Return the file's columns by the names of training."""
    options, sources = options.with_training(spec), source_names(spec)
    if files.is_text(path, options):
        options = match_header(path, spec, options)

    def choose(names: Sequence[str]) -> ColumnChoices:
        ids = {name for name in names if name not in sources and is_id_name(name)}
        return choose_later(apply_number_format(spec.columns, options), text={*ids, id})(names)

    return files.read_table(path, options, known_names=sources, choose=choose)


def _find_ids(table: Table, spec: Spec, id: str, path: Path) -> tuple[tuple[str, ...] | None, str]:
    """Return the names of the rows and the name of their column, or None and an empty text."""
    if id and id not in table.columns:
        raise DataError(
            Message("{path} lacks the column {id} with the names of the rows", path=path, id=id),
            Message("name another with id="),
        )
    sources = set(source_names(spec))
    candidates = [id] if id else [name for name in table.columns if name not in sources and is_id_name(name)]
    for name in candidates:
        raw = table.columns[name].as_text()
        if id or (len(raw.categories) == len(raw) and not raw.missing.any()):
            return _to_texts(raw), name
    return None, ""


def _to_texts(raw: RawColumn) -> tuple[str, ...]:
    assert raw.codes is not None
    return tuple(raw.categories[code] if code >= 0 else "" for code in raw.codes)


def require_numbers(x: np.ndarray, columns: Sequence[Column], source_name: str, first_row: int = 0) -> None:
    """Raise an error if a value of rows for a model that takes finite numbers is missing.

    Args:
        x: the rows ``(N, D)``, NaN where a value is missing, infinite or too large.
        columns: the features.
        source_name: name of the source in the error.
        first_row: number of rows of the source before these.

    Raises:
        DataError: a value is missing.
    """
    missing = np.argwhere(np.isnan(x))
    if len(missing):
        row, column = missing[0]
        raise DataError(
            Message(
                "{source_name}: row {first_row}, {name}: the value is missing or too large",
                source_name=source_name,
                first_row=first_row + row + 1,
                name=columns[column].name,
            ),
            Message("give a finite number"),
        )


def _parse_numbers(rows: list[list[str]], spec: Spec, source_name: str) -> np.ndarray:
    block = np.empty((len(rows), spec.shape[0]), np.float32)
    for row_index, row in enumerate(rows):
        for column_index, text in enumerate(row):
            if not is_finite_number(text):
                name = spec.columns[column_index].name if spec.columns else f"column {column_index + 1}"
                raise DataError(
                    Message(
                        "{source_name}: row {row_index}, {name}: {text} is not a number",
                        source_name=source_name,
                        row_index=row_index + 1,
                        name=name,
                        text=f"{text!r}",
                    ),
                    Message("give a finite number"),
                )
            block[row_index, column_index] = float(text)
    return block
