"""A first look at a table's file: how its columns are separated, whether it has a header, whether it lists images."""

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
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FILE_WORDS = re.compile(r"(file|image|img|image|photo|pic)s?[ _-]?(name|path|file|id)?|(file ?)?path", re.IGNORECASE)
_HEAD, _RECORDS = 1 << 18, 200


@dataclass(frozen=True)
class Look:
    """What the beginning of a file tells.

    Args:
        separator: one character.
        header: whether the first record names the columns.
        names: of the columns, made up where there is no header; each differs from the others.
        renamed: names that the header has several times, and columns that it leaves without one.
        sample: the first records, without the header.
    """

    separator: str
    header: bool
    names: tuple[str, ...]
    renamed: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]


def look(
    path: Path,
    *,
    header: bool | Literal["auto"] = "auto",
    separator: str = decoded_text.AUTO,
    encoding: str = decoded_text.AUTO,
    known: Collection[str] = (),
) -> Look:
    """Look at the beginning of a file.

    Args:
        path: a file of text, compressed or not.
        header: whether the first record names the columns; ``auto`` decides by `_is_header`.
        separator: the character between columns, or ``tab``; ``auto`` tries commas, semicolons, tabs and bars.
        encoding: of the file; ``auto`` goes by its mark and tries UTF-8 first.
        known: names that a column has: a first record that holds one of them is a header.

    Raises:
        DataError: the file is empty or cannot be read.
        UsageError: the separator is not one character, or the encoding is unknown.
    """
    lines = _lines(path, encoding)
    mark = _separator(lines, separator)
    records = _records(lines, mark)
    if not records:
        raise DataError(f"{path} is empty", "give a table: a line with the names of the columns, then a line each row")
    first = [cell.strip() for cell in records[0]]
    named = _is_header(first, records[1:], known) if header == "auto" else header
    names, renamed = _named(first) if named else (tuple(f"column-{i + 1}" for i in range(len(first))), ())
    return Look(mark, named, names, renamed, tuple(map(tuple, records[int(named) :])))


def lists_images(path: Path) -> bool:
    """Whether a CSV is a list of image files with their labels, rather than a table of values.

    It is one when the first values of a column end like image files (.jpg, .png, ...) and either this is the first
    column and its name says so (file, image, path, ...) or one of these files exists, seen from the CSV's folder.
    """
    try:
        found = look(path)
    except (DataError, UsageError):
        return False
    for number, name in enumerate(found.names):
        values = [row[number].strip() for row in found.sample[:20] if len(row) > number]
        values += [name] * name.lower().endswith(IMAGES)  # a list without a header looks as if it had one
        images = [value for value in values if value.lower().endswith(IMAGES)]
        if len(images) * 2 <= len(values):
            continue
        if (number == 0 and FILE_WORDS.fullmatch(name)) or any(_exists(path.parent, value) for value in images):
            return True
    return False


def _exists(folder: Path, value: str) -> bool:
    try:
        return (folder / value).is_file()
    except (OSError, ValueError):
        return False


def _lines(path: Path, encoding: str) -> list[str]:
    """The first lines of a file; the last one only if it is whole."""
    start = decoded_text.head(path, _HEAD)
    for guess in decoded_text.guesses(path, encoding):
        try:
            text = codecs.getincrementaldecoder(guess)().decode(start, final=len(start) < _HEAD)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise DataError(f"{path} is not in {guess}", "say encoding=, or save it as UTF-8")
    if "\0" in text:
        raise DataError(
            f"{path} cannot be read as a table: it holds zero bytes",
            "it is damaged, or UTF-16 without its mark: save it as UTF-8, or say encoding=utf-16-le",
        )
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    whole = lines[:-1] if len(start) == _HEAD and len(lines) > 1 else lines
    return [f"{line}\n" for line in whole if line.strip(" ")]


def _separator(lines: Sequence[str], wanted: str) -> str:
    if wanted != decoded_text.AUTO:
        mark = {"tab": "\t", "\\t": "\t"}.get(wanted, wanted)
        if len(mark) != 1 or mark in '"\n\r\0' or ord(mark) > 126:
            raise UsageError(
                f"the separator must be one plain character, got {wanted!r}", "say separator=; or separator=tab"
            )
        return mark
    return max(SEPARATORS, key=lambda mark: _merit(_records(lines, mark)))


def _merit(records: Sequence[Sequence[str]]) -> tuple[bool, float, int]:
    """How well a separator explains the first records: all of one width, most of them, many columns."""
    widths = [len(record) for record in records]
    if not widths or widths[0] < 2:
        return (False, 0.0, 0)
    same = sum(width == widths[0] for width in widths) / len(widths)
    return (same == 1, round(same, 1), widths[0])


def _records(lines: Sequence[str], mark: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for record in csv.reader(lines, delimiter=mark, skipinitialspace=mark != " "):
            if record:
                found.append(record)
            if len(found) > _RECORDS:
                break
    except csv.Error:  # a field without end: told when the whole file is read
        pass
    return found


def _is_header(first: Sequence[str], below: Sequence[Sequence[str]], known: Collection[str]) -> bool:
    """Whether the first record names the columns: its cells differ in kind from what stands below them.

    A word above numbers speaks for a header, a number above numbers against it. Where all are words, names are
    unique, not empty, and not found below.
    """
    if set(known) & set(first):
        return True
    numbered = first[1:] if first[0] == "" else first if len(first) > 2 else ()
    if numbered and list(numbered) == [str(i) for i in range(len(numbered))]:
        return True  # 0, 1, 2, ...: what pandas writes for columns without names
    against = False
    for number, cell in enumerate(first):
        values = [row[number].strip() for row in below if len(row) > number]
        values = [value for value in values if not is_missing(value)]
        if values and all(map(is_number, values)):
            if is_number(cell):
                against = True
            elif not is_missing(cell):
                return True
    if against or any(map(is_number, first)):
        return False
    found_below = {(i, value.strip()) for row in below for i, value in enumerate(row)}
    unique = len(set(first)) == len(first) and all(first)
    return unique and not any((i, cell) in found_below for i, cell in enumerate(first))


def _named(first: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that differ from one another: a second ``a`` becomes ``a.1``, a column without name ``column-3``."""
    names: list[str] = []
    renamed: list[str] = []
    taken = set(first)
    for number, cell in enumerate(first):
        name = cell or f"column-{number + 1}"
        if name in names:
            renamed.append(name)
            name = next(f"{name}.{i}" for i in range(1, len(first) + 2) if f"{name}.{i}" not in taken)
        elif not cell:
            renamed.append(name)
        taken.add(name)
        names.append(name)
    return tuple(names), tuple(renamed)
