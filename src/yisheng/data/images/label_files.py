"""CSV files that list image files with their labels: ``file,label``, or several labels in a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.data.images.file_listing import MAX_IMAGES, is_image
from yisheng.data.images.part_names import part_from_name
from yisheng.data.natural_sort import natural_key
from yisheng.data.tables import decoded_text
from yisheng.data.tables.literals import is_number
from yisheng.data.tables.sniff import sniff_layout

YES_WORDS, NO_WORDS = frozenset(("1", "1.0", "true", "yes")), frozenset(("0", "0.0", "false", "no", ""))
PART_COLUMNS = frozenset(("part", "split", "set", "subset", "fold"))
"""Names of a column that gives the part of each image, if all its values are names of parts."""
NO_CLASS = -1
_CHECKED_ROWS = 100
"""Rows of which one must name an image file."""


@dataclass(frozen=True)
class LabelTable:
    """The rows of a CSV that lists images.

    Args:
        files: the image files, as they are written.
        y: class numbers int64 ``(N,)``, `NO_CLASS` where there is none; or labels float32 ``(N, L)``.
        classes: names of the classes or labels.
        part: official part of each, int8 ``(N,)``, or None.
    """

    files: list[str]
    y: np.ndarray
    classes: tuple[str, ...]
    part: np.ndarray | None


def read_labels(path: Path) -> LabelTable:
    """Read a CSV that lists images.

    One column of labels makes a classification. Several make labels that may occur together: either each column is
    0 or 1 and its name is the label, or the cells of a row are the names of its labels.

    Raises:
        DataError: the file is damaged, names an image twice, or has no labels.
    """
    rows = _read_rows(path)
    header = [] if not rows or is_image(rows[0][0]) else rows.pop(0)
    rows = [row for row in rows if any(row)]
    _check_files(path, rows)
    width = max(len(header), *map(len, rows))
    columns = [[row[i] if i < len(row) else "" for row in rows] for i in range(1, width)]
    names = [*header[1:], *([""] * (width - 1 - len(header[1:])))] if header else [""] * (width - 1)
    part, names, columns = _split_off_part(names, columns)
    y, classes = _parse_labels(path, names, columns)
    return LabelTable([row[0].replace("\\", "/") for row in rows], y, classes, part)


def _check_files(path: Path, rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        raise DataError(f"{path} lists no images", "give a row for each: file,label")
    if not any(is_image(row[0]) for row in rows[:_CHECKED_ROWS]):
        raise DataError(
            f"the first column of {path} must name image files, got {rows[0][0]!r}",
            "move the column of files to the front, or read it as a table: data=table path=...",
        )
    first_row: dict[str, int] = {}
    for number, row in enumerate(rows):
        if first_row.setdefault(row[0], number) != number:
            raise DataError(f"{path} lists {row[0]} twice", "give one row for each image, with all its labels")


def _read_rows(path: Path) -> list[list[str]]:
    separator = sniff_layout(path).separator
    for encoding in decoded_text.candidate_encodings(path):
        try:
            text = b"".join(decoded_text.read_utf8_chunks(path, encoding)).decode()
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
            rows = [[cell.strip() for cell in row] for row in reader if row]
        except UnicodeDecodeError:
            continue
        except csv.Error as error:
            raise DataError(
                f"{path} cannot be read as a list of images: {error}", "correct the file; check its quotes"
            ) from None
        if len(rows) > MAX_IMAGES:
            raise DataError(f"{path} lists more than {MAX_IMAGES:,} images", "split it")
        return rows
    raise DataError(f"{path} is in an unknown encoding", "save it as UTF-8")


def _split_off_part(
    names: Sequence[str], columns: Sequence[list[str]]
) -> tuple[np.ndarray | None, list[str], list[list[str]]]:
    """Return the parts of the images, if a column gives them, and the other columns."""
    for index, (name, column) in enumerate(zip(names, columns, strict=True)):
        parts = [part_from_name(cell) for cell in column]
        if name.lower() in PART_COLUMNS and 0 in parts and None not in parts:
            part = np.array(parts, np.int8)
            label_columns = [i for i in range(len(columns)) if i != index]
            has_other_parts = bool(part.any())
            return (
                part if has_other_parts else None,
                [names[i] for i in label_columns],
                [columns[i] for i in label_columns],
            )
    return None, list(names), list(columns)


def _parse_labels(path: Path, names: Sequence[str], columns: Sequence[list[str]]) -> tuple[np.ndarray, tuple[str, ...]]:
    if not columns or not any(map(any, columns)):
        raise DataError(f"{path} lists images without labels", "give a column of labels: file,label")
    if len(columns) > 1 and all(cell.lower() in YES_WORDS | NO_WORDS for column in columns for cell in column):
        if not all(names) or len(set(names)) < len(names):
            raise DataError(
                f"{path} holds {len(columns)} columns of 0 and 1, but not a name for each label",
                "give it a header: file,first label,second label",
            )
        indicators = [[cell.lower() in YES_WORDS for cell in column] for column in columns]
        return np.array(indicators, np.float32).T, tuple(names)
    for number, (name, column) in enumerate(zip(names, columns, strict=True), start=2):
        if len(columns) > 1 and all(map(is_number, filter(None, column))):
            raise DataError(
                f"{path} holds numbers, not labels, in the column {name or number}",
                "leave that column out; labels are words, or 0 and 1 with the label as the column's name",
            )
    return _parse_label_words([dict.fromkeys(filter(None, row)) for row in zip(*columns, strict=True)])


def _parse_label_words(rows: Sequence[dict[str, None]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class numbers if every row has at most one label, else indicators; and the names of the labels."""
    classes = sorted({label for row in rows for label in row}, key=natural_key)
    number_of = {label: number for number, label in enumerate(classes)}
    if max(map(len, rows)) == 1:
        numbers = [number_of[next(iter(row))] if row else NO_CLASS for row in rows]
        return np.array(numbers, np.int64), tuple(classes)
    y = np.zeros((len(rows), len(classes)), np.float32)
    for row_number, row in enumerate(rows):
        y[row_number, [number_of[label] for label in row]] = 1
    return y, tuple(classes)
