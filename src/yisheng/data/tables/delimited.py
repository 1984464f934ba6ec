"""CSV and its relatives, read in chunks: numbers stay numbers, and each distinct text is kept once."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core import machine
from yisheng.core.columns import Reading
from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.read_ahead import map_ahead
from yisheng.data.tables import decoded_text
from yisheng.data.tables.column_builder import ColumnBuilder
from yisheng.data.tables.layout_findings import report_layout
from yisheng.data.tables.literals import MAX_EXACT, MISSING_WORDS, find_decimal_marks, is_missing
from yisheng.data.tables.number_findings import check_spellings
from yisheng.data.tables.number_form import infer_number_form, report_number_form, set_number_form
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.data.tables.scan import ScanResult, scan_file
from yisheng.data.tables.sniff import Layout, sniff_layout
from yisheng.data.tables.table import ChooseColumns, ColumnChoices, Table, choose_nothing
from yisheng.data.tables.unicode_forms import normalize_text

if TYPE_CHECKING:
    import pandas as pd

CHUNK_VALUES = 200_000
"""Values that are parsed at a time, at least `MIN_CHUNK_ROWS` rows."""
MIN_CHUNK_ROWS = 64
MAX_PARSERS = 4
"""Threads that parse a plain file: each holds a chunk."""


def read_delimited(
    path: Path,
    options: ReadingOptions = AUTOMATIC,
    *,
    known_names: Collection[str] = (),
    choose: ChooseColumns = choose_nothing,
) -> Table:
    """Read a delimited text file.

    Args:
        path: the file, compressed or not.
        options: the user's choices.
        known_names: names of columns, by which a header is recognized.
        choose: function from the names of the columns to the choices about them.

    Raises:
        DataError: the file is missing, damaged or not a table; see `yisheng.data.tables.scan`.
        UsageError: the separator is not one character, or the encoding is unknown.
    """
    layout = sniff_layout(path, options, known_names=known_names)
    scan = scan_file(path, layout, options)
    if options.encoding == decoded_text.AUTO and scan.encoding != decoded_text.UTF8:
        layout = sniff_layout(path, options, known_names=known_names, encoding=scan.encoding)
    if not scan.row_count - layout.has_header:
        raise DataError(Message("{path} has no rows below its header", path=path), Message("give at least a few rows"))
    chosen = choose(layout.names)
    file = _File(path, layout, scan, frozenset(chosen.words), options.missing)
    texts = {n for n, name in enumerate(layout.names) if name in chosen.text} | set(scan.code_columns)
    counted, kept_names = scan.row_count - layout.has_header, {*chosen.keep, *chosen.text}
    builders = [ColumnBuilder(name, keep=name in kept_names, capacity=counted) for name in layout.names]
    rows = _parse(file, builders, sorted(texts), range(len(builders)))
    written = [n for n, builder in enumerate(builders) if builder.is_mixed or _are_inexact_labels(builder, chosen)]
    _read_again(file, builders, written)
    _read_again(file, builders, _find_open_columns(layout, builders, options))
    if len(layout.names) > 1 and rows != counted:
        raise DataError(
            Message(
                "{path} cannot be read as a table: its quotes can be read in two ways ({rows} or {counted} rows)",
                path=path,
                rows=rows,
                counted=counted,
            ),
            Message('write every " inside a value as "", and put the value in quotes'),
        )
    columns = {}
    for n, name in enumerate(layout.names):
        words = options.missing if name in chosen.words else None
        columns[name] = builders[n].build(words).mark_missing(options.missing)
        builders[n] = ColumnBuilder(name)  # frees the values of the old one
    form = infer_number_form(columns.values(), options)
    spellings = [] if options.is_later else _check_spellings(layout, columns)
    findings = report_layout(path, layout, scan.encoding if scan.is_guess else "", scan.blank_count)
    return Table(
        set_number_form(columns, form.format),
        (*findings, *report_number_form(path.name, form), *spellings),
        layout.has_header,
        make_reading(layout, scan.encoding, options),
        scan.is_guess,
    )


def _check_spellings(layout: Layout, columns: dict[str, RawColumn]) -> list[Finding]:
    """Return warnings about columns of numbers that are written as codes are, by the first rows."""
    decimals = [
        n
        for n, name in enumerate(layout.names)
        if (numbers := columns[name].numbers) is not None and numbers.dtype.kind == "f"
    ]
    return [finding for n in decimals for finding in check_spellings(layout.names[n], _sample_texts(layout, n))]


def _are_inexact_labels(builder: ColumnBuilder, chosen: ColumnChoices) -> bool:
    """Return whether numbers that are the names of classes are not what is written.

    1.1 and 1.10 may be versions, and next to missing values whole numbers above 2**53 are rounded.
    """
    numbers = builder.numbers
    if numbers is None or numbers.dtype.kind != "f":
        return False
    with np.errstate(invalid="ignore"):  # the remainder of an infinite number is none
        is_decimal = builder.name in chosen.labels and bool((numbers % 1 > 0).any())
        return is_decimal or (builder.name in chosen.words and bool((np.abs(numbers) >= MAX_EXACT).any()))


def make_reading(layout: Layout, encoding: str, options: ReadingOptions) -> Reading:
    """Return what a later file should be read by."""
    separator = "" if options.separator == decoded_text.AUTO else options.separator
    names = layout.names if options.names and not layout.has_header else ()
    shows_itself = encoding.startswith("utf")  # by a byte order mark, or its zero bytes
    return Reading("" if shows_itself else encoding, separator, names, options.missing)


@dataclass(frozen=True)
class _File:
    """A file with all that is known of it before it is parsed."""

    path: Path
    layout: Layout
    scan: ScanResult
    word_columns: frozenset[str]
    missing: tuple[str, ...]

    @property
    def missing_words(self) -> dict[int, list[str]]:
        """Return the words for missing values by position of the column."""
        usual = [*MISSING_WORDS, *self.missing]
        return {
            n: ["", *self.missing] if name in self.word_columns else usual for n, name in enumerate(self.layout.names)
        }


def _find_open_columns(layout: Layout, builders: Sequence[ColumnBuilder], options: ReadingOptions) -> list[int]:
    """Return the columns that were read as numbers with decimal points, and may be whole numbers with points in them.

    Between commas a decimal comma would need quotes, so only a column of such texts raises the question.
    """
    numbers = {n: builder.numbers for n, builder in enumerate(builders)}
    floats = [n for n, values in numbers.items() if values is not None and values.dtype.kind == "f"]
    if options.number_format:
        return floats if options.number_format[0] == "," else []
    if not floats or options.is_later:
        return []
    samples = {n: _sample_texts(layout, n) for n in range(len(builders))}
    texts = [n for n, builder in enumerate(builders) if builder.categories and not builder.is_free_text]
    marks = {find_decimal_marks(list(builders[n].categories)) for n in texts}
    if "," in marks:
        return floats
    has_points = "." in {find_decimal_marks(samples[n]) for n in floats} or "." in marks
    return [] if layout.separator == "," or has_points else floats


def _sample_texts(layout: Layout, column: int) -> list[str]:
    cells = (normalize_text(row[column]) for row in layout.sample if len(row) > column)
    return [cell for cell in dict.fromkeys(cells) if not is_missing(cell)]


def _read_again(file: _File, builders: list[ColumnBuilder], columns: Sequence[int]) -> None:
    """Read columns again, as they are written."""
    if columns:
        for n in columns:
            earlier = builders[n]
            builders[n] = ColumnBuilder(earlier.name, keep=earlier.keep, capacity=earlier.capacity)
        _parse(file, builders, columns, columns)


def _parse(file: _File, builders: list[ColumnBuilder], text_columns: Collection[int], columns: Collection[int]) -> int:
    """Parse the file into some of the columns, and return the number of rows."""
    rows = 0
    for chunk in read_chunks(
        file.path, file.layout, file.scan, text_columns, columns, missing_words=file.missing_words
    ):
        rows += len(chunk)
        numbers = _take_numbers(chunk)
        for n in columns:
            if n in numbers:
                builders[n].add_numbers(numbers[n])
            else:
                builders[n].add(chunk[n])
    return rows


def _take_numbers(chunk: pd.DataFrame) -> dict[int, np.ndarray]:
    """Return the columns of numbers, by position; pandas takes 40 us to select one, less than 1 us to copy it."""
    by_type: dict[np.dtype, list[int]] = {}
    for n, dtype in zip(map(int, chunk.columns), chunk.dtypes, strict=True):
        if dtype.kind in "iuf":
            by_type.setdefault(dtype, []).append(n)
    return {
        n: column
        for positions in by_type.values()
        for n, column in zip(positions, chunk[positions].to_numpy().T, strict=True)
    }


def read_chunks(
    path: Path,
    layout: Layout,
    scan: ScanResult,
    text_columns: Collection[int],
    columns: Collection[int],
    chunk_rows: int = 0,
    missing_words: Mapping[int, Sequence[str]] | None = None,
) -> Generator[pd.DataFrame]:
    """Yield the rows of a file in chunks, with positions as column names.

    The chunks of a file whose records are its lines are parsed by several threads.

    Args:
        path: the file.
        layout: layout of the file.
        scan: from a pass over the file.
        text_columns: positions of the columns to read as they are written.
        columns: positions of the columns to read.
        chunk_rows: rows at a time; 0 stands for as many as have `CHUNK_VALUES` values, and `MIN_CHUNK_ROWS` at least.
        missing_words: words that mean a missing value, by position; the usual ones by default.

    Raises:
        DataError: the file cannot be read.
    """
    import pandas as pd

    chunk_rows = chunk_rows or max(MIN_CHUNK_ROWS, CHUNK_VALUES // len(layout.names))
    words = missing_words or dict.fromkeys(range(len(layout.names)), MISSING_WORDS)
    parse: Callable[..., Any] = functools.partial(
        pd.read_csv,
        sep=layout.separator,
        names=list(range(len(layout.names))),
        usecols=list(columns),
        index_col=False,
        dtype=dict.fromkeys(text_columns, str),
        skipinitialspace=layout.separator != " ",
        skip_blank_lines=len(layout.names) > 1,
        keep_default_na=False,
        na_values={n: list(words[n]) for n in columns},
        low_memory=False,
        encoding="utf-8",
    )
    chunks = layout.read_chunks(path, scan.encoding)
    workers = min(machine.count_cores(), MAX_PARSERS)
    try:
        if scan.is_plain and workers > 1:
            blocks = _cut_lines(chunks, chunk_rows, skip=int(layout.has_header))
            yield from map_ahead(lambda block: parse(io.BytesIO(block), header=None), blocks, workers)
            return
        stream = io.BufferedReader(_ChunkStream(chunks), decoded_text.CHUNK_BYTES)
        with parse(stream, header=0 if layout.has_header else None, chunksize=chunk_rows) as reader:
            yield from reader
    except (ValueError, OverflowError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(
            Message("{path} cannot be read as a table: {reason}", path=path, reason=" ".join(str(error).split())),
            Message("correct the file as the message says"),
        ) from None


def _cut_lines(chunks: Iterator[bytes], lines: int, *, skip: int) -> Iterator[bytes]:
    r"""Yield blocks of some number of complete lines.

    Args:
        chunks: the text, cut anywhere.
        lines: number of lines of a block; the last one may have fewer.
        skip: lines to leave out at the beginning.

    >>> list(_cut_lines(iter([b"a\nb", b"\nc\nd\n", b"e"]), 2, skip=1))
    [b'b\nc\n', b'd\ne']
    """
    parts, lacking, is_dropped = list[bytes](), skip or lines, skip > 0  # of the present block
    for chunk in chunks:
        ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n")) + 1
        start = count = 0
        while len(ends) - count >= lacking:
            count += lacking
            end = int(ends[count - 1])
            if not is_dropped:
                yield b"".join([*parts, chunk[start:end]])
            parts, start, lacking, is_dropped = [], end, lines, False
        lacking -= len(ends) - count
        parts.append(chunk[start:])
    if not is_dropped and any(parts):
        yield b"".join(parts)


class _ChunkStream(io.RawIOBase):
    """Chunks of bytes as a file that `pandas.read_csv` can read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._held = chunks, memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copy the next bytes into the buffer, and return their number."""
        while not self._held:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._held = memoryview(chunk)
        size = min(len(buffer), len(self._held))
        buffer[:size], self._held = self._held[:size], self._held[size:]
        return size
