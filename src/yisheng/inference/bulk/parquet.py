"""From a written table of answers to Parquet, some rows at a time."""

from __future__ import annotations

import csv
import importlib
import itertools
from pathlib import Path
from typing import Any

from yisheng.core.errors import MissingPartError
from yisheng.inference.bulk.chunk import ROWS
from yisheng.inference.prediction_file import Form

SUFFIX = ".parquet"


def require() -> Any:
    """Pyarrow, or how to get it.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except Exception:  # absent, or built for another NumPy
        raise MissingPartError(
            "a file of answers in Parquet needs pyarrow", 'pip install "yisheng[parquet]", or write .csv'
        ) from None


def convert(table: Path, out: Path, form: Form) -> None:
    """Write a file of answers again as Parquet: names as text, numbers in single precision, as they were computed.

    Args:
        table: comma-separated, as `Form` writes it.
        out: the file to write.
        form: how it was written; where an input could not be read its answer is missing.
    """
    arrow = require()
    numbers = arrow.float32() if form.numbers else arrow.string()
    kinds = [arrow.string(), *[numbers] * len(form.targets), *[arrow.string()] * form.errors]
    schema = arrow.schema(list(zip(form.names, kinds, strict=True)))
    with table.open(newline="", encoding="utf-8") as file, arrow.parquet.ParquetWriter(out, schema) as writer:
        rows = csv.reader(file)
        next(rows)
        while some := list(itertools.islice(rows, ROWS)):
            writer.write_table(
                arrow.table([_column(some, n, form, arrow, kind) for n, kind in enumerate(kinds)], schema)
            )


def _column(rows: list[list[str]], number: int, form: Form, arrow: Any, kind: Any) -> Any:
    texts = [row[number] for row in rows]
    if form.errors and number:
        last = number == len(form.names) - 1
        values: list[Any] = [
            text if (text if last else not row[-1]) else None for text, row in zip(texts, rows, strict=True)
        ]
    else:
        values = list(texts)
    if kind == arrow.float32():
        values = [None if value is None else float(value) for value in values]
    return arrow.array(values, kind)
