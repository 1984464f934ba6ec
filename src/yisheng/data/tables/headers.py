"""Whether the first record of a text file names its columns, and the names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence

from yisheng.data.tables.dates import infer_date_format
from yisheng.data.tables.literals import infer_number_format, is_missing, is_number
from yisheng.data.tables.reading_options import AUTO, ReadingOptions

_HEADER_ROWS = 5
"""Rows by which numbers and dates in another form than that of programs are recognized below a header."""


def has_header(
    first: Sequence[str], below: Sequence[Sequence[str]], options: ReadingOptions, known_names: Collection[str]
) -> bool:
    """Return whether the first record names the columns.

    Args:
        first: its cells.
        below: the records below it.
        options: the user's choices.
        known_names: names of columns: a first record that holds one of them is a header.
    """
    if options.header != AUTO:
        return bool(options.header)
    if options.names:  # they replace a header: one that repeats them, numbers the columns, or has a word above numbers
        repeats = len(set(options.names) & set(first)) * 2 > len(first)
        return repeats or numbers_columns(first) or _compare_with_numbers(first, below)[0]
    return _is_header(first, below, known_names)


def _compare_with_numbers(first: Sequence[str], below: Sequence[Sequence[str]]) -> tuple[bool, bool]:
    """Return whether the first record has a word above numbers, and whether it has a number above numbers."""
    number_above_numbers = False
    for index, cell in enumerate(first):
        values = [row[index].strip() for row in below if len(row) > index]
        values = [value for value in values if not is_missing(value)]
        if values and (all(map(is_number, values)) or all(map(_is_value, values[:_HEADER_ROWS]))):
            if _is_value(cell):
                number_above_numbers = True
            elif not is_missing(cell):
                return True, number_above_numbers
    return False, number_above_numbers


def _is_value(text: str) -> bool:
    """Return whether a text is a number or a date in any form.

    >>> _is_value("1.234,5 €"), _is_value("12.11.2024"), _is_value("A1")
    (True, True, False)
    """
    if is_number(text):
        return True
    has_digit = any(map(str.isdigit, text))
    return has_digit and (infer_number_format([text]) is not None or infer_date_format([text]) is not None)


def _is_header(first: Sequence[str], below: Sequence[Sequence[str]], known_names: Collection[str]) -> bool:
    """Return whether the first record names the columns.

    A word above numbers speaks for a header, a number above numbers against it. Where there are only words, it is a
    header if they are distinct, not empty, and do not occur below.
    """
    if set(known_names) & set(first):
        return True
    if numbers_columns(first):
        return True
    word_above_numbers, number_above_numbers = _compare_with_numbers(first, below)
    if word_above_numbers:
        return True
    if number_above_numbers or any(map(_is_value, first)):
        return _names_years(first, below)
    cells_below = {(i, value.strip()) for row in below for i, value in enumerate(row)}
    distinct = len(set(first)) == len(first) and all(first)
    return distinct and not any((i, cell) in cells_below for i, cell in enumerate(first))


def numbers_columns(first: Sequence[str]) -> bool:
    """Return whether the first record is 0, 1, 2, ..., which pandas writes for columns without names.

    Args:
        first: its cells.

    >>> numbers_columns(["0", "1", "2"]), numbers_columns(["", "0", "1"]), numbers_columns(["1", "2", "3"])
    (True, True, False)
    """
    unnamed = first[1:] if first[0] == "" else first if len(first) > 2 else ()
    return bool(unnamed) and list(unnamed) == [str(i) for i in range(len(unnamed))]


def _names_years(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return whether the numbers of the first record alone are years in a row, as in ``region, 2019, 2020``."""
    columns = [index for index, cell in enumerate(first) if _is_value(cell)]
    records = [[row[index] for index in columns if index < len(row)] for row in [first, *below[:_HEADER_ROWS]]]
    return len(columns) > 1 and _are_years(records[0]) and not any(map(_are_years, records[1:]))


def _are_years(texts: Sequence[str]) -> bool:
    if not all(re.fullmatch(r"(1[89]|20)\d\d", text.strip(), re.ASCII) for text in texts):
        return False
    return {int(second) - int(first) for first, second in itertools.pairwise(texts)} == {1}


def distinct_names(first: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return distinct names and those that changed: a second ``a`` becomes ``a.1``, an empty one ``column-3``.

    >>> distinct_names(["a", "a", ""])
    (('a', 'a.1', 'column-3'), ('a', 'column-3'))
    """
    names: list[str] = []
    renamed: list[str] = []
    used, earlier = set(first), set[str]()
    for index, cell in enumerate(first):
        name = cell or f"column-{index + 1}"
        if name in earlier:
            renamed.append(name)
            name = next(f"{name}.{i}" for i in range(1, len(first) + 2) if f"{name}.{i}" not in used)
        elif not cell:
            renamed.append(name)
        used.add(name)
        earlier.add(name)
        names.append(name)
    return tuple(names), tuple(renamed)
