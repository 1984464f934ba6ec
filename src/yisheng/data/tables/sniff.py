"""The layout of a table's file, from its first lines: separator, header, whether it lists images.

``csv.Sniffer``, which pandas uses for ``sep=None``, takes any frequent character for the separator and raises on short
files; ``has_header`` knows neither missing values nor the names that the user gives.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.data.tables import decoded_text
from yisheng.data.tables.headers import distinct_names, has_header
from yisheng.data.tables.literals import is_missing, is_number
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.data.tables.separators import (
    Preamble,
    Separator,
    choose_separator,
    find_preamble,
    parse_records,
    parse_separator,
)
from yisheng.data.tables.unicode_forms import normalize_text

TEXT_SUFFIXES = (".csv", ".tsv")
"""Suffixes of files whose columns are never separated by blanks: one column of them may hold words."""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
IMAGE_COLUMN_NAME = re.compile(r"(file|image|img|image|photo|pic)s?[ _-]?(name|path|file|id)?|(file ?)?path", re.I)
"""Names of a column of image files."""
_HEAD_BYTES = 1 << 18
_IMAGE_LIST_ROWS = 20
"""Rows by which a list of images is recognized."""
_MIN_TABLE_FRACTION = 0.95
"""Fraction of the first lines of a .txt that must have as many values as its first line, if it is a table."""


@dataclass(frozen=True)
class Layout:
    """The layout of a file of text.

    Args:
        separator: character between values; a tab where blanks are replaced by one.
        has_header: whether the first record names the columns.
        names: distinct names of the columns, ``column-1`` and so on if there is no header.
        renamed: names that the header has several times, and columns that it leaves without a name.
        sample: the first records, without the header.
        skip: number of lines above the first record.
        blanks: whether values are separated by any number of blanks.
        title: the first of the skipped lines.
        encoding: in which the first lines can be read.
    """

    separator: str
    has_header: bool
    names: tuple[str, ...]
    renamed: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    skip: int = 0
    blanks: bool = False
    title: str = ""
    encoding: str = decoded_text.UTF8

    def read_chunks(self, path: Path, encoding: str) -> Iterator[bytes]:
        """Yield the records of the file in UTF-8, one a line; see `decoded_text.read_utf8_chunks`."""
        return decoded_text.read_utf8_chunks(path, encoding, skip=self.skip, blanks=self.blanks)


def sniff_layout(
    path: Path, options: ReadingOptions = AUTOMATIC, *, known_names: Collection[str] = (), encoding: str = ""
) -> Layout:
    """Return the layout of a file, from its beginning.

    Args:
        path: a file of text, compressed or not.
        options: the user's choices.
        known_names: names of columns: a first record that holds one of them is a header.
        encoding: the encoding of the complete file if it is known.

    Raises:
        DataError: the file is empty or cannot be read, or has another number of columns than ``names=``.
        UsageError: the separator is not one character, or the encoding is unknown.
    """
    lines, encoding = _read_first_lines(path, options, encoding)
    preamble, separator = _find_beginning(path, lines, options, known_names)
    below = [line for line in lines[preamble.skip :] if line.strip(" \n")]
    if separator is None:
        separator = choose_separator(
            below, known_names, allow_blanks=_may_have_blanks(path), further=options.prior_separator
        )
    records = parse_records(below, separator)
    if not records:
        raise DataError(
            Message("{path} is empty", path=path),
            Message("write the names of the columns in the first line, then one line per row"),
        )
    first = [normalize_text(cell) for cell in records[0]]
    is_named = has_header(first, records[1:], options, known_names) and not preamble.header
    chosen_names = options.names or preamble.header
    if chosen_names and len(chosen_names) != len(first):
        raise DataError(
            Message(
                "{path} has {columns} columns, names= has {names}: {listed}",
                path=path,
                columns=len(first),
                names=len(chosen_names),
                listed=", ".join(chosen_names[:10]),
            ),
            Message("give a name for each column, in the order of the file"),
        )
    unnamed = tuple(f"column-{i + 1}" for i in range(len(first)))
    names, renamed = distinct_names(chosen_names or first) if is_named or chosen_names else (unnamed, ())
    title = next((line.strip() for line in lines[: preamble.skip] if line.strip()), "")
    sample = tuple(map(tuple, records[int(is_named) :]))
    return Layout(separator.mark, is_named, names, renamed, sample, preamble.skip, separator.blanks, title, encoding)


def is_text_table(path: Path) -> bool:
    """Return whether a file of any suffix is a table of text: most of its first lines have as many values as the first.

    It needs two columns, or one of numbers.
    """
    try:
        layout = sniff_layout(path)
    except (DataError, UsageError):
        return False
    if not layout.sample:
        return False
    width = len(layout.names)
    if width == 1:
        return all(is_number(row[0].strip()) or is_missing(row[0]) for row in layout.sample)
    even = sum(len(row) == width for row in layout.sample)
    return len(layout.sample) > 1 and even >= _MIN_TABLE_FRACTION * len(layout.sample)


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


def _read_first_lines(path: Path, options: ReadingOptions, encoding: str) -> tuple[list[str], str]:
    """Return the first lines of a file, the last one only if it is complete; and their encoding."""
    start = decoded_text.read_head(path, _HEAD_BYTES)
    candidates = (
        [encoding] if encoding else decoded_text.candidate_encodings(path, options.encoding, options.prior_encoding)
    )
    candidate = ""
    for candidate in candidates:
        try:
            text = codecs.getincrementaldecoder(candidate)().decode(start, final=len(start) < _HEAD_BYTES)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise DataError(
            Message("{path} is not in {candidate}", path=path, candidate=candidate),
            Message("name its encoding with encoding=, or save it as UTF-8"),
        )
    if "\0" in text:
        raise DataError(
            Message("{path} cannot be read as a table: it holds zero bytes", path=path),
            Message("it is damaged; write it again"),
        )
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    complete = lines[:-1] if (len(start) == _HEAD_BYTES and len(lines) > 1) or not lines[-1] else lines
    return [f"{line}\n" for line in complete], candidate


def _find_beginning(
    path: Path, lines: Sequence[str], options: ReadingOptions, known_names: Collection[str]
) -> tuple[Preamble, Separator | None]:
    """Return the lines above the table, and the separator if it is named."""
    requested = None if options.separator == decoded_text.AUTO else parse_separator(options.separator)
    if requested is None and path.name.lower().rpartition(".tsv")[2] in ("", ".gz", ".bz2", ".xz"):
        requested = Separator("\t") if ".tsv" in path.name.lower() else None
    if isinstance(options.skip, int):
        return Preamble(options.skip), requested
    preamble = find_preamble(lines, known_names, allow_blanks=_may_have_blanks(path))
    return preamble, requested or preamble.separator


def _may_have_blanks(path: Path) -> bool:
    return not any(suffix in TEXT_SUFFIXES for suffix in map(str.lower, path.suffixes))
