"""What the streaming reader of a workbook leaves out: merged cells, and formulas whose values were never computed."""

from __future__ import annotations

import posixpath
import re
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yisheng.core.findings import Finding
from yisheng.core.messages import Message

_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


@dataclass(frozen=True)
class SheetMarks:
    """Facts about the cells of a sheet; rows and columns are counted from 0.

    Args:
        merged: first row, first column, last row and last column of each merged range.
        formulas: row and column of each formula without a value.
    """

    merged: tuple[tuple[int, int, int, int], ...] = ()
    formulas: tuple[tuple[int, int], ...] = ()


def read_marks(path: Path, title: str) -> SheetMarks:
    """Return the marks of one sheet; none if the workbook's parts have other names than usual.

    Args:
        path: the workbook.
        title: name of the sheet.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            part = _find_part(archive, title)
            if part:
                with archive.open(part) as file:
                    return _parse_marks(file)
    except (KeyError, ET.ParseError, zipfile.BadZipFile, ValueError):
        pass
    return SheetMarks()


def _find_part(archive: zipfile.ZipFile, title: str) -> str:
    """Return the name of the file with a sheet, or an empty text."""
    relations = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {relation.get("Id"): relation.get("Target", "") for relation in relations}
    for element in ET.fromstring(archive.read("xl/workbook.xml")).iter():
        if element.tag.endswith("}sheet") and element.get("name") == title:
            return posixpath.normpath(posixpath.join("/xl", targets.get(element.get(_RELATION), ""))).lstrip("/")
    return ""


def _parse_marks(file: Any) -> SheetMarks:
    merged: list[tuple[int, int, int, int]] = []
    formulas: list[tuple[int, int]] = []
    for _, element in ET.iterparse(file):
        kind = element.tag.rpartition("}")[2]
        if kind == "c":
            parts = {child.tag.rpartition("}")[2]: child for child in element}
            if "f" in parts and not ("v" in parts and parts["v"].text) and "is" not in parts:
                formulas.append(_parse_reference(element.get("r", "")))
        elif kind == "row":
            element.clear()
        elif kind == "mergeCell":
            first, _, last = element.get("ref", "").partition(":")
            merged.append((*_parse_reference(first), *_parse_reference(last or first)))
    return SheetMarks(tuple(merged), tuple(formulas))


def _parse_reference(reference: str) -> tuple[int, int]:
    """Return row and column of a cell.

    >>> _parse_reference("B3"), _parse_reference("$AA$1")
    ((2, 1), (0, 26))
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(reference)
    column = 0
    for letter in match[1]:
        column = 26 * column + ord(letter) - ord("A") + 1
    return int(match[2]) - 1, column - 1


def fill_merged(
    rows: list[tuple[Any, ...]], marks: SheetMarks, path: Path
) -> tuple[list[tuple[Any, ...]], list[Finding]]:
    """Return the rows with the value of each range that is merged downwards in all of its rows, and a note about it.

    Args:
        rows: the cells of a sheet.
        marks: its merged ranges.
        path: the workbook.
    """
    cells = [list(row) for row in rows] if marks.merged else []
    count = 0
    for first_row, first_column, last_row, last_column in marks.merged:
        is_downwards = last_row > first_row and last_column == first_column and first_row < len(cells)
        value = cells[first_row][first_column] if is_downwards and first_column < len(cells[first_row]) else None
        for row in cells[first_row + 1 : last_row + 1] if value is not None else ():
            row.extend([None] * (first_column + 1 - len(row)))
            count += row[first_column] is None
            row[first_column] = value if row[first_column] is None else row[first_column]
    if not count:
        return rows, []
    cause = Message(
        "{file} has merged cells: {count} empty cells have got the value of the cell that they are merged with",
        file=path.name,
        count=f"{count:,}",
    )
    finding = Finding(
        "merged cells",
        "note",
        {"cells": count},
        cause,
        Message("if that is wrong, unmerge the cells and save it again"),
    )
    return [tuple(row) for row in cells], [finding]


def report_formulas(marks: SheetMarks, path: Path) -> list[Finding]:
    """Return a warning about formulas without values, which count as missing values."""
    if not marks.formulas:
        return []
    row, column = marks.formulas[0]
    return [
        Finding(
            "formulas",
            "warning",
            {"cells": len(marks.formulas), "row": row + 1, "column": column + 1},
            Message(
                "{file} has {count} formulas without values (the first in row {row}, column {column}): "
                "they count as missing",
                file=path.name,
                count=f"{len(marks.formulas):,}",
                row=row + 1,
                column=column + 1,
            ),
            Message("open it in a spreadsheet program and save it there, which computes them"),
        )
    ]
