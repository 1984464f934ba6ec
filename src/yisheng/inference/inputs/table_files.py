"""Rows from table files, and from the content of such files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.data.tables.reading_options import AUTOMATIC, ReadingOptions
from yisheng.inference import rows
from yisheng.inference.inputs.block import InputBlock, place_on_first
from yisheng.inference.inputs.image_items import name_of, read_content

SUFFIX_OF_MAGIC = {b"PAR1": ".parquet", b"PK\x03\x04": ".npz", b"\x1f\x8b": ".csv.gz"}
"""Suffix of a table file by its first bytes; other content is text."""


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


def read_table_content(file: Any, spec: Spec) -> InputBlock:
    """Return the rows of a table from an open file or from bytes, named by their numbers.

    Raises:
        DataError: the content is not a table, or a column is missing.
    """
    label = name_of(file, 0)
    label = "the table" if label == "0" else label
    content = read_content(file, label, text=True)
    suffix = next((suffix for magic, suffix in SUFFIX_OF_MAGIC.items() if content.startswith(magic)), ".csv")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"table{suffix}")
        path.write_bytes(content)
        try:
            table = rows.read_rows(path, spec)
        except DataError as error:
            raise DataError(error.problem.replace(str(path), label), error.remedy) from None
    names = [str(number) for number in range(len(table.x))]
    return InputBlock(table.x, names, place_on_first(table.notes, len(names)))
