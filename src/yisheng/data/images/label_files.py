"""CSV files that list image files with their labels or numbers: ``file,label``, ``file,age``, ``file,x,y``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from yisheng.core.columns import Reading
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data.images.file_listing import MAX_IMAGES, is_image
from yisheng.data.images.label_choices import DEFAULT_CHOICES, LabelChoices, LabelTargets
from yisheng.data.images.label_targets import read_columns
from yisheng.data.images.part_names import part_from_name
from yisheng.data.tables import decoded_text
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.sniff import sniff_layout
from yisheng.data.tables.unicode_forms import normalize_text

PART_COLUMNS = frozenset(("part", "split", "set", "subset", "fold"))
"""Names of a column that gives the part (train, validation, test) of each image, if all its values are part names."""
_CHECKED_ROWS = 100
"""At least one of this many first rows must name an image file."""


@dataclass(frozen=True)
class LabelTable:
    """The rows of a CSV that lists images.

    Args:
        files: paths of the image files as written in the CSV, with ``/`` as separator.
        targets: of these images.
        part: official part of each image, int8 ``(N,)``, or None.
    """

    files: list[str]
    targets: LabelTargets
    part: np.ndarray | None


def read_labels(path: Path, choices: LabelChoices = DEFAULT_CHOICES) -> LabelTable:
    """Return the images and targets that a CSV lists.

    Args:
        path: the file.
        choices: the user's choices about the labels; see `yisheng.data.images.label_targets.read_columns`.

    Raises:
        DataError: the file is damaged, names an image twice, or has no labels.
        UsageError: a column does not exist, or the encoding is unknown.
    """
    rows, separator, encoding = _read_rows(path, choices.reading)
    choices = replace(choices, reading=replace(choices.reading, separator=separator))
    header = [] if not rows or is_image(rows[0][0]) else rows.pop(0)
    rows = [row for row in rows if any(row)]
    _check_files(path, rows)
    width = max(len(header), *map(len, rows))
    columns = [[row[i] if i < len(row) else "" for row in rows] for i in range(1, width)]
    header = list(map(normalize_text, header))
    names = [*header[1:], *([""] * (width - 1 - len(header[1:])))] if header else [""] * (width - 1)
    part_column, part = _find_part(names, columns)
    target_columns = [n for n in range(len(columns)) if n != part_column]
    is_training = np.ones(len(rows), bool) if part is None else part == 0
    targets = read_columns(
        str(path),
        [names[n] for n in target_columns],
        [n + 2 for n in target_columns],
        [columns[n] for n in target_columns],
        is_training,
        choices,
    )
    reading = Reading("" if encoding.startswith("utf") else encoding, missing=choices.reading.missing)
    return LabelTable([row[0].replace("\\", "/") for row in rows], replace(targets, reading=reading), part)


def _check_files(path: Path, rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        raise DataError(Message("{path} lists no images", path=path), Message("add a line for each image: file,label"))
    if not any(is_image(row[0]) for row in rows[:_CHECKED_ROWS]):
        raise DataError(
            Message(
                "the first column of {path} must name image files, got {value}", path=path, value=f"{rows[0][0]!r}"
            ),
            Message(
                "make the column of image files the first, or read the CSV as a table: data=table path={path}",
                path=path,
            ),
        )
    first_row: dict[str, int] = {}
    for number, row in enumerate(rows):
        if first_row.setdefault(row[0], number) != number:
            raise DataError(
                Message("{path} lists {file_name} twice", path=path, file_name=row[0]),
                Message("write one line for each image, with all its labels"),
            )


def _read_rows(path: Path, options: ReadingOptions) -> tuple[list[list[str]], str, str]:
    """Return the cells of each row, and separator and encoding of the file."""
    layout = sniff_layout(path, options)
    for encoding in decoded_text.candidate_encodings(path, options.encoding, options.prior_encoding):
        try:
            text = b"".join(layout.read_chunks(path, encoding)).decode()
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=layout.separator, strict=True)
            rows = [[cell.strip() for cell in row] for row in reader if row]
        except UnicodeDecodeError:
            continue
        except csv.Error as error:
            raise DataError(
                Message("{path} cannot be read as a list of images: {error}", path=path, error=error),
                Message("check that every quote in the file is closed"),
            ) from None
        if len(rows) > MAX_IMAGES:
            raise DataError(
                Message("{path} lists more than {limit} images", path=path, limit=f"{MAX_IMAGES:,}"),
                Message("remove lines from it"),
            )
        return rows, layout.separator, encoding
    raise DataError(
        Message("{path} is in an unknown encoding", path=path),
        Message("name it with encoding=, or save the file as UTF-8"),
    )


def _find_part(names: Sequence[str], columns: Sequence[list[str]]) -> tuple[int | None, np.ndarray | None]:
    """Return the column that gives the part of each image, and the parts if some are not training; else None."""
    for index, (name, column) in enumerate(zip(names, columns, strict=True)):
        parts = [part_from_name(normalize_text(cell)) for cell in column]
        if name.lower() in PART_COLUMNS and 0 in parts and None not in parts:
            part = np.array(parts, np.int8)
            return index, part if part.any() else None
    return None, None
