"""The rows of a table as a stream: the same values as `yisheng.inference.rows.read_rows` returns for the whole file."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from yisheng.core.columns import Reading
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
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
from yisheng.inference.bulk.chunk import (
    ROWS_PER_CHUNK,
    Chunk,
    OtherColumnsError,
    RowNames,
    Source,
    Tally,
    fingerprint_file,
)
from yisheng.inference.rows import Rows, read_rows, require_numbers

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS_FOR_ID_COLUMN = 1 << 24
"""Rows up to which a column is checked for distinct values, which takes eight bytes per row."""
CHECKED_CHUNKS = 4
"""Chunks at the beginning of a file by which its columns are known before anything is predicted."""


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
        kind = (
            Message("a folder") if path.is_dir() else Message("not a regular file, which could be read more than once")
        )
        raise DataError(
            Message("{path} cannot be read as a table: it is {kind}", path=path, kind=kind),
            Message("give a table's file"),
        )
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
            yield Chunk(RowNames(self._path, range(start, start + len(x))), x, ids)

    encoded_chunks = chunks


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

    @property
    def undecided(self) -> list[int]:
        """Return the positions of the model's columns that are read by their looks."""
        return [n for n in self.positions.values() if n not in self.text_columns]

    @property
    def row_count(self) -> int:
        """Return the number of rows."""
        return self.scan.row_count - self.layout.has_header


class TextRows:
    """Rows of a text file, for a model that was trained on a table.

    The file is read three times: its beginning for the layout, all of it for the number of its rows and codes such as
    007, and again for the predictions. Its first `CHECKED_CHUNKS` chunks tell which columns hold numbers. If a later
    one says otherwise, the columns of the complete file are looked at, and the predictions begin again. No more than a
    few chunks of rows are in memory.

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
        self.total = plan.row_count
        guessed_encoding = plan.scan.encoding if plan.scan.is_guess else ""
        findings = report_layout(path, plan.layout, guessed_encoding)
        self.notes = [finding.cause for finding in findings if finding.severity != "note"]

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """Yield the rows after the first ``tally.rows``; see `Source.chunks`."""
        end, plan = 0, self._plan
        columns = [*plan.positions.values(), *([] if plan.id is None else [plan.id])]
        kinds = _ColumnKinds(plan.undecided)
        for frame in _read_frames(self._path, plan, columns):
            start, end = end, end + len(frame)
            kinds.add(frame)
            if kinds.mixed:
                self._plan = replace(plan, text_columns={*plan.text_columns, *_find_mixed_columns(self._path, plan)})
                raise OtherColumnsError
            if end <= tally.rows:
                continue
            raw_columns = {name: _to_raw_column(name, frame[n]) for name, n in plan.positions.items()}
            x, unusable = encode_columns(raw_columns, self._columns, str(self._path), start)
            if self._requires_numbers:
                require_numbers(x, self._columns, str(self._path), start)
            ids = None if plan.id is None else _to_texts(frame[plan.id])
            yield Chunk(RowNames(self._path, range(start, end)), x, ids, unusable_values=unusable)
        _require_row_count(self._path, plan, end)

    encoded_chunks = chunks


def _plan_reading(path: Path, spec: Spec, id: str, options: ReadingOptions) -> ReadPlan:
    sources = source_names(spec)
    options = match_header(path, spec, options.with_training(spec))
    layout = sniff_layout(path, options, known_names=sources)
    scan = scan_file(path, layout, options)
    if scan.encoding != "utf-8":  # the layout was read with another encoding
        layout = sniff_layout(path, options, known_names=sources, encoding=scan.encoding)
    positions = _find_positions(path, spec, layout, scan)
    if not scan.row_count - layout.has_header:
        raise DataError(Message("{path} has no rows below its header", path=path), Message("give at least a few rows"))
    if id and id not in layout.names:
        raise DataError(
            Message("{path} lacks the column {id} with the names of the rows", path=path, id=id),
            Message("name another with id="),
        )
    may_be_id = [name == id if id else name not in sources and is_id_name(name) for name in layout.names]
    candidates = np.flatnonzero(may_be_id).tolist()
    written = text_sources(apply_number_format(spec.columns, options))
    as_written = {positions[name] for name in written if name in positions}
    text_columns = {*as_written, *candidates, *scan.code_columns}
    plan = ReadPlan(layout, scan, positions, text_columns, candidates[0] if id else None)
    mixed = _find_mixed_columns(path, plan, CHECKED_CHUNKS)
    if mixed and plan.row_count > CHECKED_CHUNKS * ROWS_PER_CHUNK:
        mixed = _find_mixed_columns(path, plan)
    plan = replace(plan, text_columns={*plan.text_columns, *mixed})
    return plan if id else replace(plan, id=_find_id_column(path, plan, candidates))


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


class _ColumnKinds:
    """Which columns hold both numbers and texts, as far as a file has been read.

    Args:
        columns: their positions.
    """

    def __init__(self, columns: Collection[int]) -> None:
        self._columns, self._is_numeric = columns, dict[int, bool]()
        self.mixed = set[int]()

    def add(self, frame: pd.DataFrame) -> None:
        """Look at the next rows."""
        for n in self._columns:
            is_numeric = frame[n].dtype.kind in "iuf"
            if self._is_numeric.get(n) != is_numeric and not frame[n].isna().all():
                if n in self._is_numeric:
                    self.mixed.add(n)
                self._is_numeric[n] = is_numeric


def _find_mixed_columns(path: Path, plan: ReadPlan, chunks: int | None = None) -> set[int]:
    """Return the undecided columns that hold both numbers and texts, by the first chunks of the file or by all."""
    kinds, rows, count = _ColumnKinds(plan.undecided), 0, 0
    with contextlib.closing(_read_frames(path, plan, plan.undecided or [0])) as frames:
        for frame in itertools.islice(frames, chunks):
            kinds.add(frame)
            rows, count = rows + len(frame), count + 1
    if chunks is None or count < chunks:
        _require_row_count(path, plan, rows)
    return kinds.mixed


def _require_row_count(path: Path, plan: ReadPlan, rows: int) -> None:
    """Raise an error if the parser found another number of rows than the scan."""
    if len(plan.layout.names) > 1 and rows != plan.row_count:
        raise DataError(
            Message(
                "{path} cannot be read as a table: its quotes can be read in two ways ({rows} or {row_count} rows)",
                path=path,
                rows=rows,
                row_count=plan.row_count,
            ),
            Message('write every " inside a value as "", and put the value in quotes'),
        )


def _find_id_column(path: Path, plan: ReadPlan, candidates: Collection[int]) -> int | None:
    """Return the first candidate that holds a different value in every row, or None."""
    if not candidates or plan.row_count > MAX_ROWS_FOR_ID_COLUMN:
        return None
    import pandas as pd

    hashes: dict[int, list[np.ndarray]] = {n: [] for n in candidates}
    with contextlib.closing(_read_frames(path, plan, candidates)) as frames:
        for frame in frames:
            for n in list(hashes):
                raw = _to_raw_column("", frame[n])
                if raw.missing.any() or len(raw.categories) < len(raw):
                    del hashes[n]
                else:
                    hashes[n].append(pd.util.hash_array(np.array(raw.categories, object), categorize=False))
            if not hashes:
                return None
    return next((n for n, blocks in hashes.items() if _are_distinct(np.concatenate(blocks))), None)


def _are_distinct(values: np.ndarray) -> bool:
    return len(np.unique(values)) == len(values)


def _read_frames(path: Path, plan: ReadPlan, columns: Collection[int]) -> Generator[pd.DataFrame]:
    text_columns = sorted({*plan.text_columns} & {*columns})
    return read_chunks(path, plan.layout, plan.scan, text_columns, sorted({*columns}), ROWS_PER_CHUNK)


def _to_raw_column(name: str, values: pd.Series) -> RawColumn:
    import pandas as pd

    if values.dtype.kind in "iuf":
        return RawColumn(name, numbers=values.to_numpy())
    codes, categories = pd.factorize(values)
    return merge_categories(name, codes.astype(np.int32), [str(text) for text in categories]).normalize()


def _to_texts(values: pd.Series) -> list[str]:
    raw = _to_raw_column("", values).as_text()
    assert raw.codes is not None
    return [raw.categories[code] if code >= 0 else "" for code in raw.codes]
