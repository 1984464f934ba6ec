"""One pass over a whole file before it is parsed: its encoding, and whether every row has as many values as the first.

Parsers fill short rows in silence and count pieces instead of lines; here the line is told.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.data.tables import decoded_text
from yisheng.data.tables.literals import is_code

VALUES = 1 << 29
"""Rows x columns that are read: each takes 8 bytes while it is read and 4 afterwards."""
COLUMNS = 20_000
_QUOTE, _NEWLINE, _ZERO = ord('"'), ord("\n"), ord("0")
_SENTINEL = "\x1f\x1e"
_FIELD, _RECORD = 1 << 20, 1 << 26
_CODES_PER_PIECE = 50


@dataclass(frozen=True)
class Scan:
    """What a pass over a file found.

    Args:
        encoding: the one that the whole file is in.
        guessed: the file is not in UTF-8 and has no mark: the encoding is a guess.
        rows: records, the header among them; blank lines do not count.
        codes: numbers of the columns with codes like 007, whose zeros would be lost in a number.
    """

    encoding: str
    guessed: bool
    rows: int
    codes: frozenset[int]


def scan(path: Path, separator: str, width: int, encoding: str = decoded_text.AUTO) -> Scan:
    """Read a file through once.

    Args:
        path: the file.
        separator: between the values.
        width: values of every record, as the first one has them.
        encoding: as the user named it, or ``auto``.

    Raises:
        DataError: a row has more or fewer values, a quote is never closed, or the file is too large, damaged, or not
            in its encoding.
    """
    if width > COLUMNS:
        raise DataError(
            f"{path} has {width:,} columns, more than the {COLUMNS:,} that are read",
            "drop columns, or give the values as .npz",
        )
    guesses = decoded_text.guesses(path, encoding)
    for guess in guesses:
        try:
            rows, codes = _scan(path, separator, width, guess)
        except UnicodeDecodeError:
            continue
        return Scan(guess, encoding == decoded_text.AUTO and guess in decoded_text.GUESSES[1:], rows, frozenset(codes))
    raise DataError(f"{path} is not in {guesses[-1]}", "say another encoding=, or save it as UTF-8")


def _scan(path: Path, separator: str, width: int, encoding: str) -> tuple[int, set[int]]:
    mark, rows, codes = ord(separator), 0, set[int]()
    held = b""
    for piece in decoded_text.pieces(path, encoding):
        block = held + piece
        counted, done = _count(block, mark, width)
        held = block[done:]
        if counted is None or len(held) > _RECORD:
            return _scan_exactly(path, separator, width, encoding)
        rows += counted
        _require_size(path, rows, width)
        codes |= _codes(block[:done], separator)
    counted, done = _count(held + b"\n", mark, width)
    if counted is None or done <= len(held):
        return _scan_exactly(path, separator, width, encoding)
    return rows + counted, codes | _codes(held, separator)


def _require_size(path: Path, rows: int, width: int) -> None:
    if rows * width > VALUES:
        raise DataError(
            f"{path} has more than {VALUES:,} values ({width} columns)", "split it, or take a sample of its rows"
        )


def _count(block: bytes, mark: int, width: int) -> tuple[int | None, int]:
    """Records in the lines of a block, and where the last of them ends.

    What stands between an odd and an even quote is text: separators and line ends there do not count. The number is
    None if a record has not ``width`` values as far as this can tell: a quote may stand in the middle of a value.
    """
    values = np.frombuffer(block, np.uint8)
    ends, marks = values == _NEWLINE, values == mark
    if b'"' in block:
        quotes = np.flatnonzero(values == _QUOTE)
        opening = quotes[::2]
        before = values[opening[opening > 0] - 1]
        if not ((before == mark) | (before == _NEWLINE) | (before == _QUOTE)).all():
            return None, 0
        quoted = np.cumsum(values == _QUOTE, dtype=np.int32) % 2 == 1
        ends, marks = ends & ~quoted, marks & ~quoted
    stops = np.flatnonzero(ends)
    if not len(stops):
        return 0, 0
    starts = np.concatenate([[0], stops[:-1] + 1])
    counts = np.add.reduceat(marks, starts, dtype=np.int64)
    counts[-1] = np.count_nonzero(marks[starts[-1] : stops[-1]])  # the last sum runs on to the block's end
    blank = stops == starts
    spaces = b" \t".replace(bytes([mark]), b"")
    for row in np.flatnonzero((counts != width - 1) & ~blank):
        if block[starts[row] : stops[row]].strip(spaces):
            return None, 0
        blank[row] = True
    return int(len(stops) - blank.sum()), int(stops[-1]) + 1


def _codes(block: bytes, separator: str) -> set[int]:
    """Columns that hold codes like 007 in these lines, as far as the first such lines tell."""
    values = np.frombuffer(block, np.uint8)
    zeros = np.flatnonzero(values[:-1] == _ZERO)
    zeros = zeros[(values[zeros + 1] >= _ZERO) & (values[zeros + 1] <= _ZERO + 9)]
    before = values[np.maximum(zeros - 1, 0)]
    zeros = zeros[np.isin(before, [_NEWLINE, _QUOTE, ord(" "), ord(separator)]) | (zeros == 0)]
    found: set[int] = set()
    for place in zeros[:_CODES_PER_PIECE].tolist():
        start, stop = block.rfind(b"\n", 0, place) + 1, block.find(b"\n", place)
        line = block[start : stop if stop >= 0 else None].decode("utf-8", "replace")
        try:
            record: list[str] = next(_reader([line], separator), [])
        except csv.Error:  # a very long value
            continue
        found |= {number for number, value in enumerate(record) if is_code(value.strip())}
    return found


def _scan_exactly(path: Path, separator: str, width: int, encoding: str) -> tuple[int, set[int]]:
    """The same, record by record: slower, and knows the line."""
    rows, codes, line = 0, set[int](), 1
    record: list[str] = []
    lines = _lines(path, encoding)
    reader, limit = _reader(lines, separator), csv.field_size_limit(_FIELD)
    try:
        for record in reader:
            if record == [_SENTINEL]:
                return rows, codes
            if record and record[-1].endswith(_SENTINEL + "\n"):
                break
            if len(record) > 1 or (record and record[0].strip()):  # else a blank line
                if len(record) != width:
                    _refuse(path, line, len(record), width, rows)
                rows += 1
                _require_size(path, rows, width)
                codes |= {number for number, value in enumerate(record) if value[:1] == "0" and is_code(value.strip())}
            line = reader.line_num + 1
    except csv.Error as error:
        reason = f"a value of more than {_FIELD >> 20} MiB" if "limit" in str(error) else str(error)
        raise DataError(
            f"{path} cannot be read as a table: line {line}: {reason}", "is a quote missing at its end?"
        ) from None
    finally:
        csv.field_size_limit(limit)
    raise DataError(
        f"{path} cannot be read as a table: the quote that begins in line {line} never ends",
        'mend that line; write " as ""',
    )


def _reader(lines: Iterable[str], separator: str) -> Any:
    return csv.reader(lines, delimiter=separator, skipinitialspace=separator != " ")


def _refuse(path: Path, line: int, got: int, width: int, rows: int) -> None:
    raise DataError(
        f"{path} cannot be read as a table: line {line} has {got} value{'s' * (got != 1)}, the first line has {width}",
        "mend that line; a value that holds the separator needs quotes around it"
        if rows > 1 or got < width
        else "give every column a name, and no separator at the ends of lines; or name the right one with separator=",
    )


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """Lines with their ends, then one that no file has: what it ends up in tells whether a quote was open."""
    held = b""
    for piece in decoded_text.pieces(path, encoding):
        whole, mark, held = (held + piece).rpartition(b"\n")
        if mark:
            yield from io.StringIO((whole + mark).decode("utf-8"), newline="\n")
        if len(held) > _RECORD:
            raise DataError(f"{path} has a line of more than {_RECORD >> 20} MiB", "is it a table of text?")
    if held:
        yield held.decode("utf-8") + "\n"
    yield _SENTINEL + "\n"
