"""Convert a written table of predictions to Parquet, chunk by chunk."""

from __future__ import annotations

import csv
import importlib
import itertools
from pathlib import Path
from typing import Any

from yisheng.core.errors import MissingPartError
from yisheng.core.messages import Message
from yisheng.inference.bulk.chunk import ROWS_PER_CHUNK
from yisheng.inference.prediction_file import PredictionTable

SUFFIX = ".parquet"


def import_pyarrow() -> Any:
    """Return the module pyarrow.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except Exception:  # absent, or built for another NumPy
        raise MissingPartError(
            Message("a file of predictions in Parquet needs pyarrow"),
            Message('pip install "yisheng[parquet]", or write .csv'),
        ) from None


def convert_to_parquet(csv_path: Path, out: Path, table: PredictionTable) -> None:
    """Write a file of predictions as Parquet: names as text, probabilities in single and values in double precision.

    Args:
        csv_path: comma-separated, as `PredictionTable` writes it.
        out: the file to write.
        table: the columns; the prediction for an input that could not be read becomes null.
    """
    arrow = import_pyarrow()
    number_type = arrow.float64() if table.spec.task == "regression" else arrow.float32()
    target_type = number_type if table.is_numeric else arrow.string()
    types = [arrow.string(), *[target_type] * len(table.target_columns), *[arrow.string()] * table.has_errors]
    schema = arrow.schema(list(zip(table.columns, types, strict=True)))
    with csv_path.open(newline="", encoding="utf-8") as file, arrow.parquet.ParquetWriter(out, schema) as writer:
        reader = csv.reader(file)
        next(reader)
        while rows := list(itertools.islice(reader, ROWS_PER_CHUNK)):
            columns = [_build_column(rows, n, table, arrow, kind) for n, kind in enumerate(types)]
            writer.write_table(arrow.table(columns, schema))


def _build_column(rows: list[list[str]], position: int, table: PredictionTable, arrow: Any, kind: Any) -> Any:
    texts: list[str | None] = [row[position] for row in rows]
    if table.has_errors and position == len(table.columns) - 1:
        texts = [text or None for text in texts]
    elif table.has_errors and position:
        texts = [None if row[-1] else text for text, row in zip(texts, rows, strict=True)]
    if kind != arrow.string():
        return arrow.array([None if text is None else float(text) for text in texts], kind)
    return arrow.array(texts, kind)
