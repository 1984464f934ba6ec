"""The character between the values of a text file, and the lines above its table."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.data.tables import decoded_text
from yisheng.data.tables.literals import infer_number_format, is_number
from yisheng.data.tables.unicode_forms import normalize_text

SEPARATORS = (",", ";", "\t", "|")
BLANKS = "blanks"
"""The separator of files whose columns are aligned with any number of blanks."""
MAX_RECORDS = 200
_SEVERAL_NUMBERS = re.compile(r"[+-]?[\d.]+(?: +[+-]?[\d.]+)+", re.ASCII)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_MAX_TITLE_LINES = 20
_MIN_ROWS_BELOW_TITLE = 2


class Separator(NamedTuple):
    """The separator of a file: one character, a tab for any number of blanks."""

    mark: str
    blanks: bool = False


def parse_separator(text: str) -> Separator:
    """Return the separator that a user names.

    Raises:
        UsageError: it is not one character of ASCII.

    >>> parse_separator("tab"), parse_separator("blanks")
    (Separator(mark='\\t', blanks=False), Separator(mark='\\t', blanks=True))
    """
    if text == BLANKS:
        return Separator("\t", blanks=True)
    mark = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(mark) != 1 or mark in '"\n\r\0' or ord(mark) > 126:
        raise UsageError(
            Message("the separator must be one ASCII character other than a quote, got {text}", text=f"{text!r}"),
            Message('use separator=";", separator=tab, or separator=blanks for aligned columns, for example'),
        )
    return Separator(mark)


def choose_separator(
    lines: Sequence[str], known_names: Collection[str] = (), *, allow_blanks: bool = False, further: str = ""
) -> Separator:
    """Return the separator that gives the known names, and else records of equal width, as wide as possible.

    Args:
        lines: the first lines of a file.
        known_names: names of columns that the first line may have.
        allow_blanks: whether blanks may separate values: not in a .csv, whose only column may hold words.
        further: another character that may be the separator, that of the training table.
    """
    marks = [Separator(mark) for mark in dict.fromkeys((*SEPARATORS, *further))]
    candidates = [*marks, Separator("\t", blanks=True)] if allow_blanks else marks
    records = {candidate: parse_records(lines, candidate) for candidate in candidates}
    ratings = {candidate: _rate_records(records[candidate], known_names) for candidate in candidates}
    if any(ratings[mark][1] for mark in marks):  # a character that separates all lines alike is before blanks
        ratings.pop(Separator("\t", blanks=True), None)
    best = max(ratings, key=lambda candidate: ratings[candidate])
    if not ratings[best][-1]:  # a single column, whose values may hold separators
        return next((mark for mark in marks if not any(mark.mark in line for line in lines)), best)
    for candidate in candidates:
        if candidate != best and _explains(records[best], records[candidate], best, candidate):
            return candidate
    return best


def _rate_records(records: Sequence[Sequence[str]], known_names: Collection[str]) -> tuple[int, bool, float, int]:
    """Return a rating: known names, all records of equal width, the fraction that are, the width."""
    widths = [len(record) for record in records]
    if not widths or widths[0] < 2:
        return (0, False, 0.0, 0)
    fraction = sum(width == widths[0] for width in widths) / len(widths)
    names = len(set(known_names) & {cell.strip() for cell in records[0]})
    return (names, fraction == 1, round(fraction, 1), widths[0])


def _explains(
    best: Sequence[Sequence[str]], records: Sequence[Sequence[str]], best_mark: Separator, mark: Separator
) -> bool:
    """Return whether the best separator splits numbers, or joins them, that another one keeps as they are."""
    if not records or len(records[0]) < 2 or {len(record) for record in records} != {len(records[0])}:
        return False
    if best_mark.mark == ",":
        split = [cell for record in records for cell in record if "," in cell]
        return bool(split) and all(_is_number_with_comma(cell.strip()) for cell in split)
    if mark.blanks:
        columns = zip(*(record for record in best if len(record) == len(best[0])), strict=True)
        return any(all(_SEVERAL_NUMBERS.fullmatch(cell.strip()) for cell in column) for column in columns)
    return False


def _is_number_with_comma(text: str) -> bool:
    return not text.endswith(",") and infer_number_format([text]) is not None


def parse_records(lines: Sequence[str], separator: Separator) -> list[list[str]]:
    """Return the first records of some lines, at most `MAX_RECORDS` and one; none after a damaged one."""
    if separator.blanks:
        joined = decoded_text.replace_blanks("".join(lines).encode("utf-8", "replace")).decode("utf-8")
        lines = joined.splitlines(keepends=True)
    records: list[list[str]] = []
    try:
        for record in csv.reader(lines, delimiter=separator.mark, skipinitialspace=separator.mark != " "):
            if record:
                records.append(record)
            if len(records) > MAX_RECORDS:
                break
    except csv.Error:  # an unclosed quote is reported when the whole file is read
        pass
    return records


class Preamble(NamedTuple):
    """The lines above a table.

    Args:
        skip: their number, blank lines included.
        separator: the separator that ``sep=;`` names, or None.
        header: names of the columns in a line that begins with #, else empty.
    """

    skip: int = 0
    separator: Separator | None = None
    header: tuple[str, ...] = ()


def find_preamble(lines: Sequence[str], known_names: Collection[str], *, allow_blanks: bool) -> Preamble:
    """Return the lines above the table: ``sep=;``, comments that begin with #, and titles of one cell.

    Args:
        lines: the first lines of a file, blank ones included.
        known_names: names of columns: the line that holds several of them is the header.
        allow_blanks: see `choose_separator`.
    """
    start = _skip_blank(lines, 0)
    match = _SEPARATOR_LINE.fullmatch(lines[start].strip()) if start < len(lines) else None
    if match:
        return Preamble(start + 1, Separator(match[1]))
    comments_end = start
    while comments_end < len(lines) and lines[comments_end].startswith("#"):
        comments_end = _skip_blank(lines, comments_end + 1)
    if comments_end > start:
        return _read_comments(lines, start, comments_end, allow_blanks=allow_blanks)
    return Preamble(_skip_titles(lines, start, known_names, allow_blanks=allow_blanks))


def _read_comments(lines: Sequence[str], start: int, end: int, *, allow_blanks: bool) -> Preamble:
    """Return the comments as a preamble; if the last one has as many words as the table columns, they are names."""
    below = [line for line in lines[end:] if line.strip()]
    separator = choose_separator(below, allow_blanks=allow_blanks)
    records = parse_records(below, separator)
    last = next(line for line in reversed(lines[start:end]) if line.strip())
    names = parse_records([last.lstrip("# ")], separator)
    if records and names and len(names[0]) == len(records[0]) > 1 and not set(names[0]) & set(records[0]):
        return Preamble(end, None, tuple(name.strip() for name in names[0]))
    return Preamble(end)


def _skip_titles(lines: Sequence[str], start: int, known_names: Collection[str], *, allow_blanks: bool) -> int:
    """Return the number of lines above the table: above the known names, or titles of a single cell."""
    begins_record = _find_record_starts(lines)
    candidates = [first for first in range(start, min(len(lines), start + _MAX_TITLE_LINES)) if begins_record[first]]
    for first in candidates:
        if _holds_names(lines[first : first + _MAX_TITLE_LINES], known_names):
            return first
    if any(_are_even(parse_records(lines[start:], Separator(mark))) for mark in SEPARATORS):
        return start  # a title has not as many cells as all lines below
    for first in candidates:
        below = [line for line in lines[first:] if line.strip()]
        if len(below) <= _MIN_ROWS_BELOW_TITLE:
            break
        if not lines[first].strip():
            continue
        middle = next((n for n in range((first + len(lines)) // 2, len(lines)) if begins_record[n]), first)
        lower_half = [line for line in lines[middle:] if line.strip()]
        separator = choose_separator(lower_half or below, known_names, allow_blanks=allow_blanks)
        records = parse_records(below, separator)
        widths = [len(record) for record in records] or [0]
        filled = sum(bool(cell.strip()) for cell in records[0]) if records else 0
        words = sum(not is_number(cell) for cell in records[0]) if records else 0
        if separator.blanks and widths[0] != widths[-1] and words * 2 > widths[0]:  # a sentence above aligned columns
            continue
        if filled != 1 or max(widths) < 2 or (widths[0] > 1 and not records[0][0].strip()):
            is_table = len(set(widths)) == 1 and widths[0] > 1
            return first if is_table else start
        if len(set(widths)) == 1 < len(records) and all(map(str.strip, records[1])) and any(map(is_number, records[1])):
            return first  # a header whose further columns have no names: below a title is a header
    return start


def _are_even(records: Sequence[Sequence[str]]) -> bool:
    """Return whether all records have the same number of cells, and the first has several filled ones."""
    is_long = len(records) > _MIN_ROWS_BELOW_TITLE
    return is_long and sum(map(bool, map(str.strip, records[0]))) > 1 and len(set(map(len, records))) == 1


def _find_record_starts(lines: Sequence[str]) -> list[bool]:
    """Return for each line whether it begins a record, rather than being within quotes; True if quotes do not tell."""
    starts, is_quoted = [], False
    for line in lines:
        starts.append(not is_quoted)
        is_quoted ^= line.count('"') % 2 == 1
    is_plausible = not is_quoted or sum(starts) * 10 > len(lines)  # a stray quote turns all further lines around
    return starts if is_plausible else [True] * len(lines)


def _holds_names(lines: Sequence[str], known_names: Collection[str]) -> bool:
    """Return whether the first record is a header: all of its cells are known names, or half of them and several."""
    for mark in SEPARATORS:
        for record in parse_records(lines, Separator(mark))[:1]:
            count = len({normalize_text(cell) for cell in record} & set(known_names))
            if count == len(record) or (count > 1 and count * 2 >= len(record)):
                return True
    return False


def _skip_blank(lines: Sequence[str], start: int) -> int:
    while start < len(lines) and not lines[start].strip():
        start += 1
    return start
