"""Rows in the bodies of requests: tables and JSON, read as the training table was."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core.errors import YishengError
from yisheng.core.messages import Message, replace_in_values
from yisheng.core.spec import Spec
from yisheng.data.compression import open_decompressed
from yisheng.data.tables.decoded_text import find_encoding
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.inference import rows
from yisheng.serving.body_formats import CSV, FORM, JSON, media_type, parse_json_list, read_form_files, refuse_type
from yisheng.serving.errors import ApiError
from yisheng.serving.json_rows import parse_json_rows
from yisheng.serving.json_tensors import parse_json_tensors, takes_tensors
from yisheng.serving.limits import Limits, max_rows


@dataclass(frozen=True)
class RowInputs:
    """The rows of a request.

    Args:
        x: inputs ``(N, ...)``.
        names: of the rows.
        notes: on all of them, for people.
    """

    x: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...]


def parse_rows(body: bytes, content_type: str, spec: Spec, limits: Limits) -> RowInputs:
    """Return the rows in a body.

    Raises:
        ApiError: the body is of a type that the model does not take, or has too many rows.
        YishengError: a row does not fit the columns.
    """
    kind = media_type(content_type)
    if kind == JSON:
        values = parse_json_list(body, "rows")
        _check_row_count(len(values), spec, limits)
        x, notes = (parse_json_tensors(values, spec), ()) if takes_tensors(spec) else parse_json_rows(values, spec)
        return RowInputs(x, _number_rows(len(x)), notes)
    if takes_tensors(spec):
        raise refuse_type(kind, spec.description, (JSON,))
    return _parse_table(*_read_table_file(body, content_type, kind), spec, limits, _read_charset(content_type))


def _read_table_file(body: bytes, content_type: str, kind: str) -> tuple[str, bytes]:
    """Return name and bytes of the one table in a body."""
    if kind == CSV:
        return "table", body
    if kind != FORM:
        raise refuse_type(kind, Message("rows"), (CSV, FORM, JSON))
    files = read_form_files(body, content_type)
    if len(files) > 1:
        problem = Message("a request has one table, got {count} files", count=len(files))
        raise ApiError(422, "input", problem, Message("send one at a time"))
    return files[0]


def _read_charset(content_type: str) -> ReadingOptions:
    """Return how a table is read by the charset of its content type; UTF-8, which clients write anyway, says nothing.

    Raises:
        UsageError: there is no such encoding.
    """
    match = re.search(r'charset="?([\w.:-]{1,40})', content_type, re.IGNORECASE)
    charset = find_encoding(match[1]) if match else "utf-8"
    return AUTOMATIC if charset in ("utf-8", "ascii") else ReadingOptions(encoding=charset)


def _parse_table(name: str, content: bytes, spec: Spec, limits: Limits, options: ReadingOptions) -> RowInputs:
    _check_row_count(content.count(b"\n") - 1, spec, limits)
    if open_decompressed(io.BytesIO(content)) is not None:
        raise ApiError(415, "type", Message("{name} is compressed", name=name), Message("decompress it first"))
    with tempfile.TemporaryDirectory(prefix="yisheng-") as folder:
        path = Path(folder, "table.csv")
        path.write_bytes(content)
        try:
            table = rows.read_rows(path, spec, options=options)
        except YishengError as error:
            problem, remedy = (replace_in_values(text, str(path), name) for text in (error.problem, error.remedy))
            raise ApiError(422, "input", problem, remedy) from None
    names = table.ids or _number_rows(len(table.x))
    _check_row_count(len(names), spec, limits)
    return RowInputs(table.x, tuple(names), tuple(table.notes))


def _number_rows(count: int) -> tuple[str, ...]:
    return tuple(f"row {number}" for number in range(1, count + 1))


def _check_row_count(count: int, spec: Spec, limits: Limits) -> None:
    limit = max_rows(spec, limits)
    if count > limit:
        problem = Message("a request has at most {limit} rows, got {count}", limit=f"{limit:,}", count=f"{count:,}")
        raise ApiError(422, "too-many", problem, Message("send fewer at a time"))


def place_on_first(notes: Sequence[str], count: int) -> tuple[tuple[str, ...], ...]:
    """Return the notes of each row: those on a table belong to its first row.

    >>> place_on_first(["a"], 2)
    (('a',), ())
    """
    return (tuple(notes), *[()] * (count - 1))
