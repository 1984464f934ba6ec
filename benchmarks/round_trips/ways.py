"""A model of the first half of a table, and every way to give it the second half."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.round_trips.columns import TIMED, TrueColumn
from benchmarks.round_trips.dialects import Dialect
from benchmarks.round_trips.writers import make_frame, write_table

from yisheng import transforms
from yisheng.core import registry
from yisheng.core.dataset import Dataset
from yisheng.data import tables
from yisheng.data.tables.later_tables import source_names
from yisheng.data.tables.unicode_forms import normalize_text
from yisheng.inference import artifact
from yisheng.inference.bulk import rows as bulk_rows
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.predictor import Predictor
from yisheng.serving.inputs import parse_inputs
from yisheng.serving.limits import Limits

OTHER_PROGRAM = "file of another program"
BULK_ROWS = 7
"""Rows of a chunk in bulk prediction, so that a small file has several chunks."""


@dataclass(frozen=True)
class Reading:
    """What a way read.

    Args:
        x: inputs of the network.
        notes: what it said about them.
        rows: the rows of the case that it was given, in order.
    """

    x: np.ndarray
    notes: tuple[str, ...]
    rows: Sequence[int]


def train(path: Path, folder: Path, *, complete: bool, seed: int) -> tuple[Dataset, Predictor]:
    """Return the data of a table, and a model of it.

    Args:
        path: the table; its target is y.
        folder: where the model is saved.
        complete: whether it is trained by `yisheng.train`, which takes a second; it is a random linear model
            otherwise, saved and loaded as a trained one is.
        seed: of the random weights.
    """
    dataset = tables.from_file(path, target="y")
    if complete:
        import yisheng

        run = yisheng.train(
            data=str(path), target="y", model="linear", epochs=1, out=str(folder), quiet=True, seed=seed
        )
        return dataset, Predictor(run.path)
    spec = dataset.spec
    scale = transforms.fit("columns", dataset.x, columns=spec.columns)
    inner = transforms.transform_spec(scale, spec)
    torch.manual_seed(seed)
    model = registry.find("models", "linear").build(inner)
    artifact.save(
        folder,
        weights=model.state_dict(),
        name="linear",
        options={},
        spec=spec,
        fitted_transforms={"input": scale, "target": None},
        best={"epoch": 1, "score": "loss", "value": 0.0},
        parameters=1,
    )
    return dataset, Predictor(folder)


def read_in_every_way(
    columns: Sequence[TrueColumn], rows: range, dialect: Dialect, other: Dialect, predictor: Predictor, folder: Path
) -> Iterator[tuple[str, Callable[[], Reading]]]:
    """Yield names and functions: each gives some of the rows to the model in another way.

    Args:
        columns: the columns without the target.
        rows: the rows of the second half.
        dialect: of the training table.
        other: of another program.
        predictor: the model.
        folder: for files.
    """
    spec = predictor.spec
    shuffled = [columns[position] for position in np.random.default_rng(rows.start).permutation(len(columns))]
    content = write_table(columns, rows, dialect)
    complete_file = _write(folder / f"second{dialect.suffix}", content)
    last = range(rows[-1], rows[-1] + 1)
    yield "file", lambda: _read_file(complete_file, predictor, rows)
    yield "bulk", lambda: _read_bulk(complete_file, predictor, rows)
    if dialect.suffix == ".csv":
        yield "http csv", lambda: _read_body(content, "text/csv", predictor, rows)
        charset = f"text/csv; charset={dialect.encoding}"
        yield "http csv with charset", lambda: _read_body(content, charset, predictor, rows)
    single = _write(folder / f"single{dialect.suffix}", write_table(columns, last, dialect))
    yield "file of a row", lambda: _read_file(single, predictor, last)
    yield "bulk of a row", lambda: _read_bulk(single, predictor, last)
    permuted = _write(folder / f"permuted{dialect.suffix}", write_table(shuffled, rows, dialect))
    yield "file of other order", lambda: _read_file(permuted, predictor, rows)
    if {dialect.date_form, other.date_form} == {"%m/%d/%Y", "%d/%m/%Y"}:  # nobody can tell these from each other
        other = replace(other, date_form=dialect.date_form)
    foreign = _write(folder / f"other{other.suffix}", _write_otherwise(columns, rows, other))
    yield OTHER_PROGRAM, lambda: _read_file(foreign, predictor, rows)
    typed, texts = _typed_records(columns, rows), _text_records(columns, rows)
    yield "json", lambda: _read_json(typed, predictor, rows)
    yield "json of texts", lambda: _read_json(texts, predictor, rows)
    yield "json of a row", lambda: _read_json(typed[-1:], predictor, last)
    yield "frame", lambda: _read_object(make_frame(columns, rows), predictor, rows)
    yield "frame of texts", lambda: _read_object(_text_frame(columns, rows), predictor, rows)
    yield "frame of a row", lambda: _read_object(make_frame(columns, last), predictor, last)
    records = [{column.name: column.values[row] for column in columns} for row in rows]
    yield "dicts", lambda: _read_object(records, predictor, rows)
    names = source_names(spec)
    lists = [[record.get(name) for name in names] for record in _normalize_names(records)]
    yield "lists", lambda: _read_object(lists, predictor, rows)


def _normalize_names(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{normalize_text(name): value for name, value in record.items()} for record in records]


def _write_otherwise(columns: Sequence[TrueColumn], rows: range, dialect: Dialect) -> bytes:
    """Return the file of another program, in UTF-8 if its own encoding does not have all characters."""
    try:
        return write_table(_rewrite(columns, dialect), rows, dialect)
    except UnicodeEncodeError:
        dialect = replace(dialect, encoding="utf-8-sig")
        return write_table(_rewrite(columns, dialect), rows, dialect)


def _rewrite(columns: Sequence[TrueColumn], dialect: Dialect) -> list[TrueColumn]:
    """Return the columns with the texts of another program: numbers and dates in its form, words as they are."""
    rewritten = []
    for column in columns:
        texts = column.texts
        if column.kind == "number":
            texts = [_write_value(value, dialect) for value in column.values]
        elif column.kind == "date":
            form = dialect.date_form + " %H:%M:%S" * (column.flavor in TIMED)
            texts = [dialect.missing if value is None else value.strftime(form) for value in column.values]
        elif column.kind == "yes/no":
            texts = [dialect.missing if value is None else dialect.booleans[value] for value in column.values]
        else:
            texts = [dialect.missing if value is None else value for value in column.values]
        rewritten.append(TrueColumn(column.name, column.kind, column.flavor, column.values, texts))
    return rewritten


def _write_value(value: Any, dialect: Dialect) -> str:
    if value is None:
        return dialect.missing
    text = f"{value:,}" if dialect.thousands else repr(value)
    return text.replace(",", "T").replace(".", dialect.decimal).replace("T", dialect.thousands)


def _typed_records(columns: Sequence[TrueColumn], rows: range) -> list[dict[str, Any]]:
    return [{column.name: _to_json(column.values[row]) for column in columns} for row in rows]


def _to_json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _text_records(columns: Sequence[TrueColumn], rows: range) -> list[dict[str, Any]]:
    return [{column.name: column.texts[row] for column in columns} for row in rows]


def _text_frame(columns: Sequence[TrueColumn], rows: range) -> Any:
    import pandas as pd

    return pd.DataFrame({column.name: [column.texts[row] for row in rows] for column in columns})


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _read_file(path: Path, predictor: Predictor, rows: Sequence[int]) -> Reading:
    block = predictor.read_inputs(str(path))
    return Reading(block.x, tuple(note for notes in block.notes for note in notes), rows)


def _read_bulk(path: Path, predictor: Predictor, rows: Sequence[int]) -> Reading:
    rows_per_chunk, bulk_rows.ROWS_PER_CHUNK = bulk_rows.ROWS_PER_CHUNK, BULK_ROWS
    try:
        tally = Tally()
        source = bulk_rows.open_table(path, predictor.spec)
        chunks = list(source.chunks(tally))
        for chunk in chunks:
            tally.count_chunk(chunk)
        x = np.concatenate([chunk.x for chunk in chunks])
        return Reading(x, (*source.notes, *tally.describe()), rows)
    finally:
        bulk_rows.ROWS_PER_CHUNK = rows_per_chunk


def _read_body(content: bytes, content_type: str, predictor: Predictor, rows: Sequence[int]) -> Reading:
    inputs = parse_inputs(content, content_type, predictor.spec, Limits())
    return Reading(inputs.x, tuple(note for notes in inputs.notes for note in notes), rows)


def _read_json(records: list[dict[str, Any]], predictor: Predictor, rows: Sequence[int]) -> Reading:
    body = json.dumps({"rows": records}, allow_nan=False).encode()
    return _read_body(body, "application/json", predictor, rows)


def _read_object(value: Any, predictor: Predictor, rows: Sequence[int]) -> Reading:
    block = predictor.read_inputs(value)
    return Reading(block.x, tuple(note for notes in block.notes for note in notes), rows)
