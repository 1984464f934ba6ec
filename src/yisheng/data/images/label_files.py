"""A CSV that lists image files with their labels: ``file,label``, or several labels in a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.data.images.file_listing import COUNT, is_image
from yisheng.data.images.folder_labels import natural, part_of
from yisheng.data.tables import decoded_text
from yisheng.data.tables.literals import is_number
from yisheng.data.tables.sniff import look

YES, NO = frozenset(("1", "1.0", "true", "yes")), frozenset(("0", "0.0", "false", "no", ""))
PART_COLUMNS = frozenset(("part", "split", "set", "subset", "fold"))
"""Headers of a column that may say which part an image belongs to, if all its values do."""


@dataclass(frozen=True)
class Listed:
    """The rows of such a file.

    Args:
        files: the images, as they are written.
        y: class numbers int64 ``(N,)``, -1 where there is none; or labels float32 ``(N, L)``.
        classes: names of the classes or labels.
        part: official part of each, int8 ``(N,)``, or None.
    """

    files: list[str]
    y: np.ndarray
    classes: tuple[str, ...]
    part: np.ndarray | None


def read(path: Path) -> Listed:
    """Read such a file.

    One column of labels makes a classification. Several make labels that may hold together: each is 0 or 1 under
    the name of a label, or the cells of a row are the names of its labels.

    Raises:
        DataError: it is damaged, names an image twice, or has no labels.
    """
    rows = _rows(path)
    header = [] if not rows or is_image(rows[0][0]) else rows.pop(0)
    rows = [row for row in rows if any(row)]
    if not rows:
        raise DataError(f"{path} lists no images", "give a row for each: file,label")
    if not any(is_image(row[0]) for row in rows[:100]):
        raise DataError(
            f"the first column of {path} must name image files, got {rows[0][0]!r}",
            "move the column of files to the front, or read it as a table: data=table path=...",
        )
    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        if first.setdefault(row[0], number) != number:
            raise DataError(f"{path} lists {row[0]} twice", "give one row for each image, its labels beside it")
    width = max(len(header), *map(len, rows))
    columns = [[row[i] if i < len(row) else "" for row in rows] for i in range(1, width)]
    names = [*header[1:], *([""] * (width - 1 - len(header[1:])))] if header else [""] * (width - 1)
    part, names, columns = _parted(names, columns)
    y, classes = _labels(path, names, columns)
    return Listed([row[0].replace("\\", "/") for row in rows], y, classes, part)


def _rows(path: Path) -> list[list[str]]:
    separator = look(path).separator
    for encoding in decoded_text.guesses(path):
        try:
            text = b"".join(decoded_text.pieces(path, encoding)).decode()
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
            rows = [[cell.strip() for cell in row] for row in lines if row]
        except UnicodeDecodeError:
            continue
        except csv.Error as error:
            raise DataError(f"{path} cannot be read as a list of images: {error}", "mend the file") from None
        if len(rows) > COUNT:
            raise DataError(f"{path} lists more than {COUNT:,} images", "split it")
        return rows
    raise DataError(f"{path} is in an unknown encoding", "save it as UTF-8")


def _parted(names: Sequence[str], columns: Sequence[list[str]]) -> tuple[np.ndarray | None, list[str], list[list[str]]]:
    """The column that says which part an image belongs to, if there is one, and the others."""
    for at, (name, column) in enumerate(zip(names, columns, strict=True)):
        parts = [part_of(cell) for cell in column]
        if name.lower() in PART_COLUMNS and 0 in parts and None not in parts:
            part = np.array(parts, np.int8)
            others = [i for i in range(len(columns)) if i != at]
            return part if part.any() else None, [names[i] for i in others], [columns[i] for i in others]
    return None, list(names), list(columns)


def _labels(path: Path, names: Sequence[str], columns: Sequence[list[str]]) -> tuple[np.ndarray, tuple[str, ...]]:
    if not columns or not any(map(any, columns)):
        raise DataError(f"{path} lists images without labels", "give a column of labels: file,label")
    if len(columns) > 1 and all(cell.lower() in YES | NO for column in columns for cell in column):
        if not all(names) or len(set(names)) < len(names):
            raise DataError(
                f"{path} holds {len(columns)} columns of 0 and 1, but not a name for each label",
                "give it a header: file,first label,second label",
            )
        return np.array([[cell.lower() in YES for cell in column] for column in columns], np.float32).T, tuple(names)
    for name, column in zip(names, columns, strict=True):
        if len(columns) > 1 and all(map(is_number, filter(None, column))):
            raise DataError(
                f"{path} holds numbers, not labels, in the column {name or columns.index(column) + 2}",
                "leave that column out; labels are words, or 0 and 1 under the name of each label",
            )
    rows = [dict.fromkeys(filter(None, row)) for row in zip(*columns, strict=True)]
    classes = sorted({label for row in rows for label in row}, key=natural)
    number_of = {label: number for number, label in enumerate(classes)}
    if max(map(len, rows)) == 1:
        return np.array([number_of[next(iter(row))] if row else -1 for row in rows], np.int64), tuple(classes)
    y = np.zeros((len(rows), len(classes)), np.float32)
    for number, row in enumerate(rows):
        y[number, [number_of[label] for label in row]] = 1
    return y, tuple(classes)
