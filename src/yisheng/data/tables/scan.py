"""One pass over a whole file before it is parsed: its encoding, and whether all rows have the same number of values.

``pandas.read_csv`` fills short rows with missing values without a word, and its errors count records within a chunk
rather than lines of the file. This pass reports the line; NumPy counts whole chunks at a time, so it costs little.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message, plural_message
from yisheng.data.tables import decoded_text
from yisheng.data.tables.literals import is_code, is_number
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.data.tables.sniff import Layout

MAX_VALUES = 1 << 29
"""Rows x columns that are read: each takes 8 bytes while it is read and 4 afterwards."""
MAX_COLUMNS = 20_016
"""20,000 inputs, and room for targets, names, weights and parts."""
_QUOTE, _NEWLINE, _ZERO = ord('"'), ord("\n"), ord("0")
_SENTINEL = "\x1f\x1e"
_MAX_VALUE_BYTES, _MAX_RECORD_BYTES = 1 << 20, 1 << 26
_NO_LINE = b"\0"


@dataclass(frozen=True)
class ScanResult:
    """The result of a pass over a file.

    Args:
        encoding: the encoding of the whole file.
        is_guess: whether the encoding is a guess: the file is not UTF-8 and has no byte order mark.
        row_count: number of records, the header included. Blank lines are none, except in a file of one column, whose
            missing values look like that.
        code_columns: positions of the columns with codes such as 007, which would lose their zeros as numbers.
        blank_count: number of blank lines that are records.
        is_plain: whether the lines of the file are its records: it has several columns, no blank lines, and no line end
            between quotes.
    """

    encoding: str
    is_guess: bool
    row_count: int
    code_columns: frozenset[int]
    blank_count: int = 0
    is_plain: bool = False


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
            Message(
                "{path} has {columns} columns, more than the {limit} that are read",
                path=path,
                columns=f"{len(layout.names):,}",
                limit=f"{MAX_COLUMNS:,}",
            ),
            Message("drop columns, or give the values as .npz"),
        )
    candidate = ""
    for candidate in decoded_text.candidate_encodings(path, options.encoding, options.prior_encoding):
        try:
            result = _scan(path, layout, candidate)
        except UnicodeDecodeError:
            continue
        trusted = (decoded_text.UTF8, options.prior_encoding)
        has_mark = candidate.startswith(("utf-16", "utf-32"))
        is_guess = options.encoding == decoded_text.AUTO and candidate not in trusted and not has_mark
        return replace(result, is_guess=is_guess)
    raise DataError(
        Message("{path} is not in {candidate}", path=path, candidate=candidate),
        Message("name its encoding with encoding=, or save it as UTF-8"),
    )


def _scan(path: Path, layout: Layout, encoding: str) -> ScanResult:
    """Scan a file chunk by chunk; what its chunks leave open is scanned record by record."""
    mark, width = ord(layout.separator), len(layout.names)
    rows, code_columns, blank_count, is_plain = 0, set[int](), 0, width > 1
    held, header, line = b"", b"", layout.skip + 1
    for chunk in _append_line_end(layout.read_chunks(path, encoding)):
        block = held + chunk
        breaks = _find_plain_breaks(block, mark, width)
        count, end = _count_records(block, mark, width) if breaks is None else _count_plain_lines(breaks, width)
        held = block[end:]
        if count is None or len(held) > _MAX_RECORD_BYTES:
            return _scan_exactly(path, layout, encoding)
        if count:
            header = header or _header_line(block, layout)
            _refuse_repeated_header(path, block[:end], header, line, is_first=not rows)
        line_count = block.count(b"\n", 0, end)
        line, rows = line + line_count, rows + count
        blank_count += _count_blank_lines(block[:end]) if width == 1 else 0
        _require_size(path, rows, width)
        code_columns |= _find_code_columns(block[:end], mark, breaks)
        is_plain = is_plain and count == line_count
    if held:
        return _scan_exactly(path, layout, encoding)
    return ScanResult(encoding, False, rows, frozenset(code_columns), blank_count, is_plain)


def _append_line_end(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks, with a line end after the last one if it has none."""
    last = b"\n"
    for chunk in chunks:
        yield chunk
        last = chunk[-1:] or last
    if last != b"\n":
        yield b"\n"


def _find_plain_breaks(block: bytes, mark: int, width: int) -> np.ndarray | None:
    r"""Return the positions of separators and line ends in complete lines that are records without quotes; else None.

    >>> _find_plain_breaks(b"1,2\n,4\n5", ord(","), 2)
    array([1, 3, 4, 6])
    >>> _find_plain_breaks(b"1,2\n\n", ord(","), 2)
    """
    if b'"' in block:
        return None
    values = np.frombuffer(block, np.uint8, block.rfind(b"\n") + 1)
    breaks = np.flatnonzero((values == mark) | (values == _NEWLINE))
    if len(breaks) % width:
        return None
    is_end = (values[breaks] == _NEWLINE).reshape(-1, width)
    return breaks if is_end[:, -1].all() and not is_end[:, :-1].any() else None


def _count_plain_lines(breaks: np.ndarray, width: int) -> tuple[int, int]:
    """Return the number of lines, and the position after them."""
    return len(breaks) // width, int(breaks[-1]) + 1 if len(breaks) else 0


def _header_line(block: bytes, layout: Layout) -> bytes:
    """Return the line with the names of the columns; a word that cannot occur if there is none, or it cannot be told.

    The names 0, 1, 2 may be values as well, and so may the name of a single column.
    """
    line = block[: block.find(b"\n") + 1]
    is_distinct = layout.has_header and len(layout.names) > 1 and not all(map(is_number, layout.names))
    return line if is_distinct and line.count(b'"') % 2 == 0 and line.strip() else _NO_LINE


def _refuse_repeated_header(path: Path, block: bytes, header: bytes, first_line: int, *, is_first: bool) -> None:
    """Raise an error if the names of the columns occur again: several files were joined into one.

    Args:
        path: the file.
        block: complete records.
        header: the first line of the table.
        first_line: number of the block's first line.
        is_first: whether the block begins with the table.
    """
    for line in (header, codecs.BOM_UTF8 + header):
        is_at_start = block.startswith(line) and not is_first
        position = 0 if is_at_start else block.find(b"\n" + line) + 1
        if position or is_at_start:
            _raise_repeated_header(path, first_line + block.count(b"\n", 0, position))


def _raise_repeated_header(path: Path, line: int) -> NoReturn:
    raise DataError(
        Message("{path} cannot be read as a table: line {line} repeats the names of the columns", path=path, line=line),
        Message("remove that line; if the first line is a row rather than the names, use header=false"),
    )


def _require_size(path: Path, rows: int, width: int) -> None:
    if rows * width > MAX_VALUES:
        raise DataError(
            Message(
                "{path} has more than {limit} values ({columns} columns)",
                path=path,
                limit=f"{MAX_VALUES:,}",
                columns=width,
            ),
            Message("split it, or take a sample of its rows"),
        )


def _count_records(block: bytes, mark: int, width: int) -> tuple[int | None, int]:
    """Return the number of complete records in a block, and the position after the last of them.

    Between an odd and an even quote, separators and line ends are text. The number is None if a record may not have
    ``width`` values; this is not certain, since a quote inside a value is text as well.
    """
    values = np.frombuffer(block, np.uint8)
    if b'"' in block:
        quotes = np.flatnonzero(values == _QUOTE)
        opening = quotes[::2]
        preceding = values[opening[opening > 0] - 1]
        if not ((preceding == mark) | (preceding == _NEWLINE) | (preceding == _QUOTE)).all():
            return None, 0
    is_end, is_mark = _find_ends_and_marks(block, mark)
    ends = np.flatnonzero(is_end)
    if not len(ends):
        return 0, 0
    starts = np.concatenate([[0], ends[:-1] + 1])
    counts = np.add.reduceat(is_mark, starts, dtype=np.int64)
    counts[-1] = np.count_nonzero(is_mark[starts[-1] : ends[-1]])  # reduceat's last sum includes the incomplete record
    blank = ends == starts
    if width == 1:
        blank[:] = False
    spaces = b" \t".replace(bytes([mark]), b"")
    for row in np.flatnonzero((counts != width - 1) & ~blank):
        if block[starts[row] : ends[row]].strip(spaces):
            return None, 0
        blank[row] = True
    return int(len(ends) - blank.sum()), int(ends[-1]) + 1


def _count_blank_lines(block: bytes) -> int:
    """Return the number of empty lines of complete records, outside of quotes."""
    is_end, _ = _find_ends_and_marks(block, _NEWLINE)
    return int((np.diff(np.flatnonzero(is_end), prepend=-1) == 1).sum())


def _find_ends_and_marks(block: bytes, mark: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the masks of line ends and separators outside of quotes."""
    values = np.frombuffer(block, np.uint8)
    is_end, is_mark = values == _NEWLINE, values == mark
    if b'"' in block:
        unquoted = np.cumsum(values == _QUOTE, dtype=np.int32) % 2 == 0
        is_end, is_mark = is_end & unquoted, is_mark & unquoted
    return is_end, is_mark


def _find_code_columns(block: bytes, mark: int, breaks: np.ndarray | None) -> set[int]:
    """Return the columns of complete records that hold a code such as 007.

    Args:
        block: the records.
        mark: the separator.
        breaks: positions of all separators and line ends if there are no quotes.
    """
    values = np.frombuffer(block, np.uint8)
    if len(values) < 2:
        return set()
    around = np.array([_NEWLINE, _QUOTE, ord(" "), mark], np.uint8)
    if (
        breaks is not None and b" 0" not in block
    ):  # only values begin with such a zero: the others need not be looked at
        zeros = np.append(0, breaks[:-1] + 1)
        zeros = zeros[values[zeros] == _ZERO]  # a line end follows, so there is a next character
        zeros = zeros[values[zeros + 1] - np.uint8(_ZERO) <= 9]
    else:
        zeros = np.flatnonzero((values[:-1] == _ZERO) & (values[1:] - np.uint8(_ZERO) <= 9))
        zeros = zeros[np.isin(values[np.maximum(zeros - 1, 0)], around) | (zeros == 0)]
    if not len(zeros):
        return set()
    is_digit = values - np.uint8(_ZERO) <= 9
    non_digits = np.append(np.flatnonzero(~is_digit), len(values))
    following = non_digits[np.searchsorted(non_digits, zeros)]  # the first character after the digits
    is_whole = np.isin(np.append(values, _NEWLINE)[following], around)
    nonzero_digits = np.cumsum(is_digit & (values != _ZERO), dtype=np.int32)
    zeros = zeros[is_whole & (nonzero_digits[following - 1] > nonzero_digits[zeros])]
    if not len(zeros):
        return set()
    is_end, is_mark = _find_ends_and_marks(block, mark)
    marks = np.cumsum(is_mark, dtype=np.int32)
    starts = np.concatenate([[0], np.flatnonzero(is_end) + 1])
    records = starts[np.searchsorted(starts, zeros, side="right") - 1]
    earlier_marks = np.where(records > 0, marks[np.maximum(records - 1, 0)], 0)
    return set(np.unique(marks[zeros] - earlier_marks).tolist())


def _scan_exactly(path: Path, layout: Layout, encoding: str) -> ScanResult:
    """Do what `_scan` does record by record: it is slower, and knows the line."""
    rows, code_columns, blank_count, line = 0, set[int](), 0, layout.skip + 1
    width = len(layout.names)
    record: list[str] = []
    header: list[str] = []
    reader = _reader(_read_lines(path, layout, encoding), layout.separator)
    old_limit = csv.field_size_limit(_MAX_VALUE_BYTES)
    try:
        for record in reader:
            if record == [_SENTINEL]:
                return ScanResult(encoding, False, rows, frozenset(code_columns), blank_count)
            if record and record[-1].endswith(_SENTINEL + "\n"):
                break
            if width == 1 and not "".join(record).strip():
                rows += 1
                blank_count += not record
            elif len(record) > 1 or (record and record[0].strip()):  # otherwise it is a blank line
                if len(record) != width:
                    _raise_wrong_width(path, line, len(record), width, rows)
                if record == header:
                    _raise_repeated_header(path, line)
                if not rows and layout.has_header and width > 1 and not all(map(is_number, layout.names)):
                    header = record
                rows += 1
                _require_size(path, rows, width)
                code_columns |= {n for n, value in enumerate(record) if value[:1] == "0" and is_code(value.strip())}
            line = layout.skip + reader.line_num + 1
    except csv.Error as error:
        reason = (
            Message("a value of more than {limit} MiB", limit=_MAX_VALUE_BYTES >> 20)
            if "limit" in str(error)
            else str(error)
        )
        raise DataError(
            Message("{path} cannot be read as a table: line {line}: {reason}", path=path, line=line, reason=reason),
            Message("check that every quote is closed"),
        ) from None
    finally:
        csv.field_size_limit(old_limit)
    raise DataError(
        Message(
            "{path} cannot be read as a table: the quote that begins in line {line} never ends", path=path, line=line
        ),
        Message('close the quote in that line; write a quote inside a value as ""'),
    )


def _reader(lines: Iterable[str], separator: str) -> Any:
    return csv.reader(lines, delimiter=separator, skipinitialspace=separator != " ")


def _raise_wrong_width(path: Path, line: int, value_count: int, width: int, rows: int) -> NoReturn:
    raise DataError(
        plural_message(
            value_count,
            "{path} cannot be read as a table: line {line} has {count} value, the first line has {width}",
            "{path} cannot be read as a table: line {line} has {count} values, the first line has {width}",
            path=path,
            line=line,
            count=value_count,
            width=width,
        ),
        Message("correct that line; a value that holds the separator needs quotes around it")
        if rows > 1 or value_count < width
        else Message(
            "give every column a name, remove separators at the ends of lines, or name the separator with separator=",
        ),
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
                Message(
                    "{path} has a line of more than {limit} MiB",
                    path=path,
                    limit=_MAX_RECORD_BYTES >> 20,
                ),
                Message("check that it is a table of text"),
            )
    if held:
        yield held.decode("utf-8") + "\n"
    yield _SENTINEL + "\n"
