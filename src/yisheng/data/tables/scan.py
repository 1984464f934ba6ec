"""One pass over a whole file before it is parsed: its encoding, and whether all rows have the same number of values.

``pandas.read_csv`` fills short rows with missing values without a word, and its errors count records within a chunk
rather than lines of the file. This pass reports the line; NumPy counts whole chunks at a time, so it costs little.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from yisheng.core.errors import DataError
from yisheng.data.tables import decoded_text
from yisheng.data.tables.literals import is_code
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.data.tables.sniff import Layout

MAX_VALUES = 1 << 29
"""Rows x columns that are read: each takes 8 bytes while it is read and 4 afterwards."""
MAX_COLUMNS = 20_000
_QUOTE, _NEWLINE, _ZERO = ord('"'), ord("\n"), ord("0")
_SENTINEL = "\x1f\x1e"
_MAX_VALUE_BYTES, _MAX_RECORD_BYTES = 1 << 20, 1 << 26
_MAX_CODES_PER_CHUNK = 50


@dataclass(frozen=True)
class ScanResult:
    """The result of a pass over a file.

    Args:
        encoding: the encoding of the whole file.
        is_guess: whether the encoding is a guess: the file is not UTF-8 and has no byte order mark.
        row_count: number of records, the header included, blank lines not.
        code_columns: positions of the columns with codes such as 007, which would lose their zeros as numbers.
    """

    encoding: str
    is_guess: bool
    row_count: int
    code_columns: frozenset[int]


def scan_file(path: Path, layout: Layout, options: ReadingOptions = AUTOMATIC) -> ScanResult:
    """Read a file through once and check it.

    Args:
        path: the file.
        layout: its layout; every record has as many values as the first one.
        options: the user's choices, among them the encoding.

    Raises:
        DataError: a row has more or fewer values, a quote is never closed, or the file is too large, damaged, or not
            in its encoding.
    """
    if len(layout.names) > MAX_COLUMNS:
        raise DataError(
            f"{path} has {len(layout.names):,} columns, more than the {MAX_COLUMNS:,} that are read",
            "drop columns, or give the values as .npz",
        )
    candidate = ""
    for candidate in decoded_text.candidate_encodings(path, options.encoding, options.prior_encoding):
        try:
            row_count, code_columns = _scan(path, layout, candidate)
        except UnicodeDecodeError:
            continue
        trusted = (decoded_text.UTF8, options.prior_encoding)
        has_mark = candidate.startswith(("utf-16", "utf-32"))
        is_guess = options.encoding == decoded_text.AUTO and candidate not in trusted and not has_mark
        return ScanResult(candidate, is_guess, row_count, frozenset(code_columns))
    raise DataError(f"{path} is not in {candidate}", "name its encoding with encoding=, or save it as UTF-8")


def _scan(path: Path, layout: Layout, encoding: str) -> tuple[int, set[int]]:
    """Return the number of records and the columns with codes, chunk by chunk."""
    separator, width = layout.separator, len(layout.names)
    mark, rows, code_columns = ord(separator), 0, set[int]()
    held = b""
    for chunk in layout.read_chunks(path, encoding):
        block = held + chunk
        count, end = _count_records(block, mark, width)
        held = block[end:]
        if count is None or len(held) > _MAX_RECORD_BYTES:
            return _scan_exactly(path, layout, encoding)
        rows += count
        _require_size(path, rows, width)
        code_columns |= _find_code_columns(block[:end], separator)
    count, end = _count_records(held + b"\n", mark, width)
    if count is None or end <= len(held):
        return _scan_exactly(path, layout, encoding)
    return rows + count, code_columns | _find_code_columns(held, separator)


def _require_size(path: Path, rows: int, width: int) -> None:
    if rows * width > MAX_VALUES:
        raise DataError(
            f"{path} has more than {MAX_VALUES:,} values ({width} columns)", "split it, or take a sample of its rows"
        )


def _count_records(block: bytes, mark: int, width: int) -> tuple[int | None, int]:
    """Return the number of complete records in a block, and the position after the last of them.

    Between an odd and an even quote, separators and line ends are text. The number is None if a record may not have
    ``width`` values; this is not certain, since a quote inside a value is text as well.
    """
    values = np.frombuffer(block, np.uint8)
    is_end, is_mark = values == _NEWLINE, values == mark
    if b'"' in block:
        quotes = np.flatnonzero(values == _QUOTE)
        opening = quotes[::2]
        preceding = values[opening[opening > 0] - 1]
        if not ((preceding == mark) | (preceding == _NEWLINE) | (preceding == _QUOTE)).all():
            return None, 0
        quoted = np.cumsum(values == _QUOTE, dtype=np.int32) % 2 == 1
        is_end, is_mark = is_end & ~quoted, is_mark & ~quoted
    ends = np.flatnonzero(is_end)
    if not len(ends):
        return 0, 0
    starts = np.concatenate([[0], ends[:-1] + 1])
    counts = np.add.reduceat(is_mark, starts, dtype=np.int64)
    counts[-1] = np.count_nonzero(is_mark[starts[-1] : ends[-1]])  # reduceat's last sum includes the incomplete record
    blank = ends == starts
    spaces = b" \t".replace(bytes([mark]), b"")
    for row in np.flatnonzero((counts != width - 1) & ~blank):
        if block[starts[row] : ends[row]].strip(spaces):
            return None, 0
        blank[row] = True
    return int(len(ends) - blank.sum()), int(ends[-1]) + 1


def _find_code_columns(block: bytes, separator: str) -> set[int]:
    """Return the columns with codes such as 007, from the first lines of a block that hold one."""
    values = np.frombuffer(block, np.uint8)
    zeros = np.flatnonzero(values[:-1] == _ZERO)
    zeros = zeros[(values[zeros + 1] >= _ZERO) & (values[zeros + 1] <= _ZERO + 9)]
    preceding = values[np.maximum(zeros - 1, 0)]
    zeros = zeros[np.isin(preceding, [_NEWLINE, _QUOTE, ord(" "), ord(separator)]) | (zeros == 0)]
    columns: set[int] = set()
    for position in zeros[:_MAX_CODES_PER_CHUNK].tolist():
        start, end = block.rfind(b"\n", 0, position) + 1, block.find(b"\n", position)
        line = block[start : end if end >= 0 else None].decode("utf-8", "replace")
        try:
            record: list[str] = next(_reader([line], separator), [])
        except csv.Error:  # a very long value
            continue
        columns |= {column for column, value in enumerate(record) if is_code(value.strip())}
    return columns


def _scan_exactly(path: Path, layout: Layout, encoding: str) -> tuple[int, set[int]]:
    """Do what `_scan` does record by record: it is slower, and knows the line."""
    rows, code_columns, line = 0, set[int](), layout.skip + 1
    width = len(layout.names)
    record: list[str] = []
    reader = _reader(_read_lines(path, layout, encoding), layout.separator)
    old_limit = csv.field_size_limit(_MAX_VALUE_BYTES)
    try:
        for record in reader:
            if record == [_SENTINEL]:
                return rows, code_columns
            if record and record[-1].endswith(_SENTINEL + "\n"):
                break
            if len(record) > 1 or (record and record[0].strip()):  # otherwise it is a blank line
                if len(record) != width:
                    _raise_wrong_width(path, line, len(record), width, rows)
                rows += 1
                _require_size(path, rows, width)
                code_columns |= {n for n, value in enumerate(record) if value[:1] == "0" and is_code(value.strip())}
            line = layout.skip + reader.line_num + 1
    except csv.Error as error:
        reason = f"a value of more than {_MAX_VALUE_BYTES >> 20} MiB" if "limit" in str(error) else str(error)
        raise DataError(
            f"{path} cannot be read as a table: line {line}: {reason}", "check that every quote is closed"
        ) from None
    finally:
        csv.field_size_limit(old_limit)
    raise DataError(
        f"{path} cannot be read as a table: the quote that begins in line {line} never ends",
        'close the quote in that line; write a quote inside a value as ""',
    )


def _reader(lines: Iterable[str], separator: str) -> Any:
    return csv.reader(lines, delimiter=separator, skipinitialspace=separator != " ")


def _raise_wrong_width(path: Path, line: int, value_count: int, width: int, rows: int) -> NoReturn:
    plural = "s" * (value_count != 1)
    raise DataError(
        f"{path} cannot be read as a table: line {line} has {value_count} value{plural}, the first line has {width}",
        "correct that line; a value that holds the separator needs quotes around it"
        if rows > 1 or value_count < width
        else "give every column a name, remove separators at the ends of lines, or name the separator with separator=",
    )


def _read_lines(path: Path, layout: Layout, encoding: str) -> Iterator[str]:
    """Yield the lines with their ends, then a sentinel; if that becomes part of a value, a quote was open."""
    held = b""
    for chunk in layout.read_chunks(path, encoding):
        complete, newline, held = (held + chunk).rpartition(b"\n")
        if newline:
            yield from io.StringIO((complete + newline).decode("utf-8"), newline="\n")
        if len(held) > _MAX_RECORD_BYTES:
            raise DataError(
                f"{path} has a line of more than {_MAX_RECORD_BYTES >> 20} MiB", "check that it is a table of text"
            )
    if held:
        yield held.decode("utf-8") + "\n"
    yield _SENTINEL + "\n"
