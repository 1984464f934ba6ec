"""Rows from table files, and from the content of such files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.core.spec import Spec
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.inference import rows
from yisheng.inference.inputs.block import InputBlock, describe, place_on_first
from yisheng.inference.inputs.image_items import is_file, name_of, read_content

SUFFIX_OF_MAGIC = {b"PAR1": ".parquet", b"PK\x03\x04": ".npz", b"\x1f\x8b": ".csv.gz"}
"""Suffix of a table file by its first bytes; other content is text."""
WORKBOOK_PART = b"[Content_Types].xml"
"""The file in a .zip by which it is a workbook."""


def read_table_files(paths: Sequence[Path], spec: Spec, options: ReadingOptions = AUTOMATIC) -> InputBlock:
    """Return the rows of tables, named ``file:row``.

    Args:
        paths: the files.
        spec: a contract for rows.
        options: the user's choices about how the files are read; by default as the training table.

    Raises:
        DataError: a file cannot be read, or a column is missing.
    """
    tables = [rows.read_rows(path, spec, options=options) for path in paths]
    names = [f"{path}:{n + 1}" for path, table in zip(paths, tables, strict=True) for n in range(len(table.x))]
    notes = [note for table in tables for note in place_on_first(table.notes, len(table.x))]
    return InputBlock(np.concatenate([table.x for table in tables]), names, notes)


def read_tables(inputs: Any, spec: Spec, options: ReadingOptions) -> InputBlock:
    """Return the rows of one or several table files, or of the content of one, read by the user's choices.

    Args:
        inputs: a path, several, an open file, or bytes.
        spec: a contract for rows.
        options: the user's choices.

    Raises:
        DataError: a file cannot be read, or a column is missing.
        UsageError: the inputs are no files.
    """
    is_content = isinstance(inputs, bytes | bytearray | memoryview) or is_file(inputs)
    if is_content and spec.is_row:
        return read_table_content(inputs, spec, options)
    paths = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    is_list = isinstance(paths, list | tuple) and bool(paths) and all(isinstance(p, str | os.PathLike) for p in paths)
    if not is_list or not spec.is_row:
        kind = describe(inputs) if spec.is_row else Message("a model of other inputs")
        raise UsageError(
            Message("encoding=, decimal= and the like are for the files of tables, got {kind}", kind=kind),
            Message("leave them out"),
        )
    return read_table_files([parse_path(path, "an input") for path in paths], spec, options)


def read_table_content(file: Any, spec: Spec, options: ReadingOptions = AUTOMATIC) -> InputBlock:
    """Return the rows of a table from an open file or from bytes, named by their numbers.

    Args:
        file: the file, or the bytes.
        spec: a contract for rows.
        options: the user's choices about how it is read; by default as the training table.

    Raises:
        DataError: the content is not a table, or a column is missing.
    """
    label = name_of(file, 0)
    label = "the table" if label == "0" else label
    content = read_content(file, label, text=True)
    suffix = next((suffix for magic, suffix in SUFFIX_OF_MAGIC.items() if content.startswith(magic)), ".csv")
    suffix = ".xlsx" if suffix == ".npz" and WORKBOOK_PART in content else suffix
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"table{suffix}")
        path.write_bytes(content)
        try:
            table = rows.read_rows(path, spec, options=options)
        except DataError as error:
            raise DataError(error.problem.replace(str(path), label), error.remedy) from None
    names = [str(number) for number in range(len(table.x))]
    return InputBlock(table.x, names, place_on_first(table.notes, len(names)))
