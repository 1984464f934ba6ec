"""CSV files that list image files with their labels: ``file,label``, or several labels per image."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.natural_sort import natural_key
from yisheng.data.class_names import normalize_name
from yisheng.data.images.file_listing import MAX_IMAGES, is_image
from yisheng.data.images.part_names import part_from_name
from yisheng.data.tables import decoded_text
from yisheng.data.tables.literals import is_number
from yisheng.data.tables.sniff import sniff_layout
from yisheng.data.tables.unicode_forms import normalize_text

YES_WORDS, NO_WORDS = frozenset(("1", "1.0", "true", "yes")), frozenset(("0", "0.0", "false", "no", ""))
PART_COLUMNS = frozenset(("part", "split", "set", "subset", "fold"))
"""Names of a column that gives the part (train, validation, test) of each image, if all its values are part names."""
NO_CLASS = -1
_CHECKED_ROWS = 100
"""At least one of this many first rows must name an image file."""


@dataclass(frozen=True)
class LabelTable:
    """The rows of a CSV that lists images.

    Args:
        files: paths of the image files as written in the CSV, with ``/`` as separator.
        y: class numbers int64 ``(N,)``, `NO_CLASS` for images without a label; or labels float32 ``(N, L)``.
        classes: names of the classes or labels.
        part: official part of each image, int8 ``(N,)``, or None.
        has_words: whether the cells name the labels, rather than columns of 0 and 1.
    """

    files: list[str]
    y: np.ndarray
    classes: tuple[str, ...]
    part: np.ndarray | None
    has_words: bool = True


def read_labels(path: Path, *, forms: Sequence[str] = (), known_classes: Sequence[str] = ()) -> LabelTable:
    """Return the images and labels that a CSV lists.

    One label column means classification. Several mean multilabel: either each column is a label, with 0 or 1 in every
    row, or the cells of a row are the names of its labels.

    Args:
        path: the file.
        forms: forms of the labels; see `yisheng.data.class_names`.
        known_classes: further classes, of a model that is evaluated on the images.

    Raises:
        DataError: the file is damaged, names an image twice, or has no labels.
    """
    rows = _read_rows(path)
    header = [] if not rows or is_image(rows[0][0]) else rows.pop(0)
    rows = [row for row in rows if any(row)]
    _check_files(path, rows)
    width = max(len(header), *map(len, rows))
    columns = [[normalize_text(row[i]) if i < len(row) else "" for row in rows] for i in range(1, width)]
    header = list(map(normalize_text, header))
    names = [*header[1:], *([""] * (width - 1 - len(header[1:])))] if header else [""] * (width - 1)
    part, names, columns = _split_off_part(names, columns)
    has_words = not _are_indicators(columns)
    if has_words:
        y, classes = _parse_words(path, names, columns, forms, known_classes)
    else:
        y, classes = _parse_indicators(path, [normalize_name(name, forms) for name in names], columns)
    return LabelTable([row[0].replace("\\", "/") for row in rows], y, classes, part, has_words)


def _check_files(path: Path, rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        raise DataError(f"{path} lists no images", "add a line for each image: file,label")
    if not any(is_image(row[0]) for row in rows[:_CHECKED_ROWS]):
        raise DataError(
            f"the first column of {path} must name image files, got {rows[0][0]!r}",
            f"make the column of image files the first, or read the CSV as a table: data=table path={path}",
        )
    first_row: dict[str, int] = {}
    for number, row in enumerate(rows):
        if first_row.setdefault(row[0], number) != number:
            raise DataError(f"{path} lists {row[0]} twice", "write one line for each image, with all its labels")


def _read_rows(path: Path) -> list[list[str]]:
    layout = sniff_layout(path)
    for encoding in decoded_text.candidate_encodings(path):
        try:
            text = b"".join(layout.read_chunks(path, encoding)).decode()
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=layout.separator, strict=True)
            rows = [[cell.strip() for cell in row] for row in reader if row]
        except UnicodeDecodeError:
            continue
        except csv.Error as error:
            raise DataError(
                f"{path} cannot be read as a list of images: {error}", "check that every quote in the file is closed"
            ) from None
        if len(rows) > MAX_IMAGES:
            raise DataError(f"{path} lists more than {MAX_IMAGES:,} images", "remove lines from it")
        return rows
    raise DataError(f"{path} is in an unknown encoding", "save it as UTF-8")


def _split_off_part(
    names: Sequence[str], columns: Sequence[list[str]]
) -> tuple[np.ndarray | None, list[str], list[list[str]]]:
    """Return the part of each image (None if no column gives it), and the names and cells of the label columns."""
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


def _are_indicators(columns: Sequence[list[str]]) -> bool:
    """Return whether each column is a label, with yes or no in every row."""
    return len(columns) > 1 and all(cell.lower() in YES_WORDS | NO_WORDS for column in columns for cell in column)


def _parse_indicators(
    path: Path, names: Sequence[str], columns: Sequence[list[str]]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return zeros and ones ``(N, L)``, and the names of the labels."""
    _require_labels(path, columns)
    if not all(names) or len(set(names)) < len(names):
        raise DataError(
            f"{path} holds {len(columns)} columns of 0 and 1, but not a different name for each",
            "write a header as its first line, with the label of each column: file,cloudy,forest",
        )
    indicators = [[cell.lower() in YES_WORDS for cell in column] for column in columns]
    return np.array(indicators, np.float32).T, tuple(names)


def _parse_words(
    path: Path,
    names: Sequence[str],
    columns: Sequence[list[str]],
    forms: Sequence[str],
    known_classes: Sequence[str],
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class numbers if every row has at most one label, else 0/1 indicators; and the sorted label names."""
    _require_labels(path, columns)
    for number, (name, column) in enumerate(zip(names, columns, strict=True), start=2):
        if len(columns) > 1 and all(map(is_number, filter(None, column))):
            raise DataError(
                f"{path} holds numbers, not labels, in the column {name or number}",
                "remove that column; labels are words, or 0 and 1 in a column that is named after the label",
            )
    rows = [dict.fromkeys(normalize_name(cell, forms) for cell in row if cell) for row in zip(*columns, strict=True)]
    classes = sorted({*known_classes, *(label for row in rows for label in row)}, key=natural_key)
    number_of = {label: number for number, label in enumerate(classes)}
    if max(map(len, rows)) == 1:
        numbers = [number_of[next(iter(row))] if row else NO_CLASS for row in rows]
        return np.array(numbers, np.int64), tuple(classes)
    y = np.zeros((len(rows), len(classes)), np.float32)
    for row_number, row in enumerate(rows):
        y[row_number, [number_of[label] for label in row]] = 1
    return y, tuple(classes)


def _require_labels(path: Path, columns: Sequence[list[str]]) -> None:
    if not columns or not any(map(any, columns)):
        raise DataError(f"{path} lists images without labels", "add a column of labels: file,label")
