"""The layout of a table's file, from its first lines: separator, header, whether it lists images.

``csv.Sniffer``, which pandas uses for ``sep=None``, takes any frequent character for the separator and raises on short
files; ``has_header`` knows neither missing values nor the names that the user gives.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yisheng.core.errors import DataError, UsageError
from yisheng.data.tables import decoded_text
from yisheng.data.tables.literals import is_missing, is_number

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
IMAGE_COLUMN_NAME = re.compile(r"(file|image|img|image|photo|pic)s?[ _-]?(name|path|file|id)?|(file ?)?path", re.I)
"""Names of a column of image files."""
_HEAD_BYTES, _MAX_RECORDS = 1 << 18, 200
_IMAGE_LIST_ROWS = 20
"""Rows by which a list of images is recognized."""


@dataclass(frozen=True)
class Layout:
    """The layout of a file of text.

    Args:
        separator: character between values.
        has_header: whether the first record names the columns.
        names: distinct names of the columns, ``column-1`` and so on if there is no header.
        renamed: names that the header has several times, and columns that it leaves without a name.
        sample: the first records, without the header.
    """

    separator: str
    has_header: bool
    names: tuple[str, ...]
    renamed: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]


def sniff_layout(
    path: Path,
    *,
    header: bool | Literal["auto"] = "auto",
    separator: str = decoded_text.AUTO,
    encoding: str = decoded_text.AUTO,
    known_names: Collection[str] = (),
) -> Layout:
    """Return the layout of a file, from its beginning.

    Args:
        path: a file of text, compressed or not.
        header: whether the first record names the columns; ``auto`` decides by `_is_header`.
        separator: the character between values, or ``tab``; ``auto`` tries commas, semicolons, tabs and bars.
        encoding: encoding of the file; ``auto`` goes by its byte order mark and tries UTF-8 first.
        known_names: names of columns: a first record that holds one of them is a header.

    Raises:
        DataError: the file is empty or cannot be read.
        UsageError: the separator is not one character, or the encoding is unknown.
    """
    lines = _read_first_lines(path, encoding)
    mark = _choose_separator(lines, separator)
    records = _parse_records(lines, mark)
    if not records:
        raise DataError(f"{path} is empty", "write the names of the columns in the first line, then one line per row")
    first = [cell.strip() for cell in records[0]]
    has_header = _is_header(first, records[1:], known_names) if header == "auto" else header
    names, renamed = _distinct_names(first) if has_header else (tuple(f"column-{i + 1}" for i in range(len(first))), ())
    return Layout(mark, has_header, names, renamed, tuple(map(tuple, records[int(has_header) :])))


def lists_images(path: Path) -> bool:
    """Return whether a CSV is a list of image files with their labels, rather than a table of values.

    It is one if most of the first values of a column end like image files (.jpg, .png, ...) and either this is the
    first column and its name says so (file, image, path, ...) or one of these files exists, relative to the CSV.
    """
    try:
        layout = sniff_layout(path)
    except (DataError, UsageError):
        return False
    for index, name in enumerate(layout.names):
        values = [row[index].strip() for row in layout.sample[:_IMAGE_LIST_ROWS] if len(row) > index]
        values += [name] * name.lower().endswith(IMAGE_SUFFIXES)  # without a header, the first file is taken for one
        images = [value for value in values if value.lower().endswith(IMAGE_SUFFIXES)]
        if len(images) * 2 <= len(values):
            continue
        if (index == 0 and IMAGE_COLUMN_NAME.fullmatch(name)) or any(_exists(path.parent, value) for value in images):
            return True
    return False


def _exists(folder: Path, value: str) -> bool:
    try:
        return (folder / value).is_file()
    except (OSError, ValueError):
        return False


def _read_first_lines(path: Path, encoding: str) -> list[str]:
    """Return the first lines of a file; the last one only if it is complete."""
    start = decoded_text.read_head(path, _HEAD_BYTES)
    for candidate in decoded_text.candidate_encodings(path, encoding):
        try:
            text = codecs.getincrementaldecoder(candidate)().decode(start, final=len(start) < _HEAD_BYTES)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise DataError(f"{path} is not in {candidate}", "name its encoding with encoding=, or save it as UTF-8")
    if "\0" in text:
        raise DataError(
            f"{path} cannot be read as a table: it holds zero bytes",
            "if it is UTF-16 without a byte order mark, save it as UTF-8 or use encoding=utf-16-le; "
            "otherwise it is damaged",
        )
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    complete = lines[:-1] if len(start) == _HEAD_BYTES and len(lines) > 1 else lines
    return [f"{line}\n" for line in complete if line.strip(" ")]


def _choose_separator(lines: Sequence[str], requested: str) -> str:
    if requested != decoded_text.AUTO:
        mark = {"tab": "\t", "\\t": "\t"}.get(requested, requested)
        if len(mark) != 1 or mark in '"\n\r\0' or ord(mark) > 126:
            raise UsageError(
                f"the separator must be one ASCII character other than a quote, got {requested!r}",
                'use separator=";" or separator=tab, for example',
            )
        return mark
    return max(SEPARATORS, key=lambda mark: _rate_records(_parse_records(lines, mark)))


def _rate_records(records: Sequence[Sequence[str]]) -> tuple[bool, float, int]:
    """Return a rating to compare separators by: all records of equal width, the fraction that are, the width."""
    widths = [len(record) for record in records]
    if not widths or widths[0] < 2:
        return (False, 0.0, 0)
    fraction = sum(width == widths[0] for width in widths) / len(widths)
    return (fraction == 1, round(fraction, 1), widths[0])


def _parse_records(lines: Sequence[str], mark: str) -> list[list[str]]:
    records: list[list[str]] = []
    try:
        for record in csv.reader(lines, delimiter=mark, skipinitialspace=mark != " "):
            if record:
                records.append(record)
            if len(records) > _MAX_RECORDS:
                break
    except csv.Error:  # an unclosed quote is reported when the whole file is read
        pass
    return records


def _is_header(first: Sequence[str], below: Sequence[Sequence[str]], known_names: Collection[str]) -> bool:
    """Return whether the first record names the columns.

    A word above numbers speaks for a header, a number above numbers against it. Where there are only words, it is a
    header if they are distinct, not empty, and do not occur below.
    """
    if set(known_names) & set(first):
        return True
    unnamed = first[1:] if first[0] == "" else first if len(first) > 2 else ()
    if unnamed and list(unnamed) == [str(i) for i in range(len(unnamed))]:
        return True  # 0, 1, 2, ...: what pandas writes for columns without names
    number_above_numbers = False
    for index, cell in enumerate(first):
        values = [row[index].strip() for row in below if len(row) > index]
        values = [value for value in values if not is_missing(value)]
        if values and all(map(is_number, values)):
            if is_number(cell):
                number_above_numbers = True
            elif not is_missing(cell):
                return True
    if number_above_numbers or any(map(is_number, first)):
        return False
    cells_below = {(i, value.strip()) for row in below for i, value in enumerate(row)}
    distinct = len(set(first)) == len(first) and all(first)
    return distinct and not any((i, cell) in cells_below for i, cell in enumerate(first))


def _distinct_names(first: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return distinct names and those that changed: a second ``a`` becomes ``a.1``, an empty one ``column-3``."""
    names: list[str] = []
    renamed: list[str] = []
    used = set(first)
    for index, cell in enumerate(first):
        name = cell or f"column-{index + 1}"
        if name in names:
            renamed.append(name)
            name = next(f"{name}.{i}" for i in range(1, len(first) + 2) if f"{name}.{i}" not in used)
        elif not cell:
            renamed.append(name)
        used.add(name)
        names.append(name)
    return tuple(names), tuple(renamed)
