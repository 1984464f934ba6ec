"""The rows of a table as a stream: the same values as `yisheng.inference.rows.read_rows` returns for the whole file."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from yisheng.core.errors import DataError
from yisheng.core.types import Reading, Spec
from yisheng.data.tables import files
from yisheng.data.tables.column_kinds import is_id_name
from yisheng.data.tables.delimited import read_chunks
from yisheng.data.tables.encode import encode_columns
from yisheng.data.tables.later_tables import (
    apply_number_format,
    explain_missing_columns,
    match_header,
    name_columns,
    source_names,
    text_sources,
)
from yisheng.data.tables.layout_findings import report_layout
from yisheng.data.tables.raw_column import RawColumn, merge_categories
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.data.tables.scan import ScanResult, scan_file
from yisheng.data.tables.sniff import Layout, sniff_layout
from yisheng.data.tables.table import Table
from yisheng.inference.bulk.chunk import ROWS_PER_CHUNK, Chunk, Source, Tally, fingerprint_file, name_rows
from yisheng.inference.rows import Rows, read_rows, require_numbers

MAX_ROWS_FOR_ID_COLUMN = 1 << 24
"""Rows up to which a column is checked for distinct values, which takes eight bytes per row."""


def open_table(path: Path, spec: Spec, id: str = "", options: ReadingOptions = AUTOMATIC) -> Source:
    """Return the rows of a table file as a stream.

    Text is read chunk by chunk, whatever its size; .parquet and .npz are read at once, as their formats require.

    Args:
        path: the file.
        spec: a contract for rows.
        id: the column with the names of the rows; found by its name by default.
        options: the user's choices about how the file is read; by default as the training table.

    Raises:
        DataError: the file cannot be read, or a column is missing.
    """
    if os.path.exists(path) and not path.is_file():  # noqa: PTH110  # never raises
        kind = "a folder" if path.is_dir() else "not a regular file, which could be read more than once"
        raise DataError(f"{path} cannot be read as a table: it is {kind}", "give a table's file")
    if not files.is_text(path, options):
        return InMemoryRows(path, read_rows(path, spec, id, options))
    return TextRows(path, spec, id, options)


class InMemoryRows:
    """Rows of a file that was read at once.

    Args:
        path: the file.
        rows: its rows.
    """

    def __init__(self, path: Path, rows: Rows) -> None:
        self._path, self._rows = path, rows
        self.id_name, self.total, self.notes = rows.id_name, len(rows.x), rows.notes
        self.fingerprint = fingerprint_file(path)

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """Yield the rows after the first ``tally.rows``; see `Source.chunks`."""
        for start in range(tally.rows, len(self._rows.x), ROWS_PER_CHUNK):
            x = self._rows.x[start : start + ROWS_PER_CHUNK]
            ids = None if self._rows.ids is None else self._rows.ids[start : start + ROWS_PER_CHUNK]
            yield Chunk(name_rows(self._path, range(start, start + len(x))), x, ids, [()] * len(x))


@dataclass(frozen=True)
class ReadPlan:
    """How a text file is read for a model.

    Args:
        layout: from the beginning of the file.
        scan: from a pass over the file.
        positions: of the model's columns in the file.
        text_columns: positions of the columns that are read as they are written.
        id: position of the column with the names of the rows, or None.
    """

    layout: Layout
    scan: ScanResult
    positions: dict[str, int]
    text_columns: Collection[int]
    id: int | None


class TextRows:
    """Rows of a text file, for a model that was trained on a table.

    The file is read three times: once for its layout, once for the kinds of its columns, once for the predictions.
    Never more than one chunk of rows is in memory.

    Args:
        path: the file.
        spec: a contract for rows.
        id: the column with the names of the rows; found by its name if empty.
        options: the user's choices about how the file is read.

    Raises:
        DataError: the file cannot be read, or a column is missing.
    """

    def __init__(self, path: Path, spec: Spec, id: str, options: ReadingOptions = AUTOMATIC) -> None:
        named = name_columns(spec)
        self._path, self._columns = path, apply_number_format(named.columns, options)
        self._requires_numbers = not source_names(spec)
        self.fingerprint = fingerprint_file(path) if os.path.isfile(path) else ""  # noqa: PTH113  # never raises
        self.fingerprint += "" if options == AUTOMATIC else f" {options}"
        plan = self._plan = _plan_reading(path, named, id, options)
        self.id_name = "" if plan.id is None else plan.layout.names[plan.id]
        self.total = plan.scan.row_count - plan.layout.has_header
        guessed_encoding = plan.scan.encoding if plan.scan.is_guess else ""
        findings = report_layout(path, plan.layout, guessed_encoding)
        self.notes = [finding.cause for finding in findings if finding.severity != "note"]

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """Yield the rows after the first ``tally.rows``; see `Source.chunks`."""
        end, plan = 0, self._plan
        columns = [*plan.positions.values(), *([] if plan.id is None else [plan.id])]
        for frame in _read_frames(self._path, plan, columns):
            start, end = end, end + len(frame)
            if end <= tally.rows:
                continue
            raw_columns = {name: _to_raw_column(name, frame[n]) for name, n in plan.positions.items()}
            x, unusable = encode_columns(raw_columns, self._columns, str(self._path), start)
            if self._requires_numbers:
                require_numbers(x, self._columns, str(self._path), start)
            tally.count_unusable_values(unusable)
            ids = None if plan.id is None else _to_texts(frame[plan.id])
            yield Chunk(name_rows(self._path, range(start, end)), x, ids, [()] * len(frame))


def _plan_reading(path: Path, spec: Spec, id: str, options: ReadingOptions) -> ReadPlan:
    sources = source_names(spec)
    options = match_header(path, spec, options.with_training(spec))
    layout = sniff_layout(path, options, known_names=sources)
    scan = scan_file(path, layout, options)
    if scan.encoding != "utf-8":  # the layout was read with another encoding
        layout = sniff_layout(path, options, known_names=sources, encoding=scan.encoding)
    positions = _find_positions(path, spec, layout, scan)
    if not scan.row_count - layout.has_header:
        raise DataError(f"{path} has no rows below its header", "give at least a few rows")
    if id and id not in layout.names:
        raise DataError(f"{path} lacks the column {id} with the names of the rows", "name another with id=")
    may_be_id = [name == id if id else name not in sources and is_id_name(name) for name in layout.names]
    candidates = np.flatnonzero(may_be_id).tolist()
    written = text_sources(apply_number_format(spec.columns, options))
    as_written = {positions[name] for name in written if name in positions}
    text_columns = {*as_written, *candidates, *scan.code_columns}
    plan = ReadPlan(layout, scan, positions, text_columns, candidates[0] if id else None)
    return _read_column_kinds(path, plan, [] if id else candidates)


def _find_positions(path: Path, spec: Spec, layout: Layout, scan: ScanResult) -> dict[str, int]:
    """Return the positions of the model's columns in the file.

    Raises:
        DataError: columns are missing.
    """
    positions = {name: position for position, name in enumerate(layout.names)}
    sources = source_names(spec)
    if not set(sources) <= set(positions):
        raws = {name: RawColumn(name) for name in positions}
        try:
            encode_columns(dict(raws), spec.columns, str(path))  # reports the missing columns
        except DataError as error:
            reading = Reading(scan.encoding)
            raise explain_missing_columns(
                error, Table(raws, reading=reading, is_guessed_encoding=scan.is_guess)
            ) from None
    return {name: positions[name] for name in sources}


def _read_column_kinds(path: Path, plan: ReadPlan, id_candidates: Sequence[int]) -> ReadPlan:
    """Complete the plan from all values: which columns of numbers contain a text, and which column names the rows."""
    undecided = [n for n in plan.positions.values() if n not in plan.text_columns]
    is_numeric: dict[int, set[bool]] = {n: set() for n in undecided}
    hashes: dict[int, list[np.ndarray]] = {n: [] for n in id_candidates}
    row_count = 0
    for frame in _read_frames(path, plan, [*undecided, *id_candidates] or [0]):
        row_count += len(frame)
        for n in undecided:
            if not frame[n].isna().all():
                is_numeric[n].add(frame[n].dtype.kind in "iuf")
        for n in list(hashes):
            raw = _to_raw_column("", frame[n])
            if raw.missing.any() or len(raw.categories) < len(raw) or row_count > MAX_ROWS_FOR_ID_COLUMN:
                del hashes[n]
            else:
                hashes[n].append(pd.util.hash_array(np.array(raw.categories, object), categorize=False))
    scanned_rows = plan.scan.row_count - plan.layout.has_header
    if len(plan.layout.names) > 1 and row_count != scanned_rows:
        raise DataError(
            f"{path} cannot be read as a table: its quotes can be read in two ways "
            f"({row_count} or {scanned_rows} rows)",
            'write every " inside a value as "", and put the value in quotes',
        )
    mixed = {n for n, kinds in is_numeric.items() if len(kinds) == 2}
    distinct = (n for n, blocks in hashes.items() if len(np.unique(np.concatenate(blocks))) == row_count)
    id = next(distinct, None) if plan.id is None else plan.id
    return replace(plan, text_columns={*plan.text_columns, *mixed}, id=id)


def _read_frames(path: Path, plan: ReadPlan, columns: Collection[int]) -> Iterator[pd.DataFrame]:
    text_columns = sorted({*plan.text_columns} & {*columns})
    return read_chunks(path, plan.layout, plan.scan.encoding, text_columns, sorted({*columns}), ROWS_PER_CHUNK)


def _to_raw_column(name: str, values: pd.Series) -> RawColumn:
    if values.dtype.kind in "iuf":
        return RawColumn(name, numbers=values.to_numpy())
    codes, categories = pd.factorize(values)
    return merge_categories(name, codes.astype(np.int32), [str(text) for text in categories]).normalize()


def _to_texts(values: pd.Series) -> list[str]:
    raw = _to_raw_column("", values).as_text()
    assert raw.codes is not None
    return [raw.categories[code] if code >= 0 else "" for code in raw.codes]
