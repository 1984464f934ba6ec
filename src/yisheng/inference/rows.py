"""Rows from a table file or the command line, matched with the columns of the training data."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.data.tables import files
from yisheng.data.tables.column_kinds import names_rows
from yisheng.data.tables.delimited import Table
from yisheng.data.tables.encode import Odd, encode
from yisheng.data.tables.raw_column import Raw, merged
from yisheng.data.tables.sniff import look

LIMIT = 256 << 20
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Rows:
    """What a table holds for a model.

    Args:
        x: inputs, float32 ``(N, D)``; NaN where a value is missing, -1 for a level never seen in training.
        ids: names of the rows as the file writes them, or None.
        id_name: name of the column that they stand in; empty without one.
        notes: what was noticed, for people.
    """

    x: np.ndarray
    ids: tuple[str, ...] | None = None
    id_name: str = ""
    notes: tuple[str, ...] = ()


def read(path: Path, spec: Spec) -> np.ndarray:
    """Rows of a table file as float32 ``(N, D)``; see `read_named`.

    Raises:
        DataError: a column is missing, a value is no number where one is wanted, or the file is unreadable.
    """
    return read_named(path, spec).x


def read_named(path: Path, spec: Spec, id: str = "") -> Rows:
    """Rows of a table file (.csv, .tsv, perhaps .gz; .parquet, .npz), and what they are called.

    A header row is matched by name, in any order, further columns left out; without a header the columns are taken in
    the order of training. A model that was trained on a table takes its raw columns: categories, dates and missing
    values as they stood in the training file. Other models of rows take finite numbers only.

    Args:
        path: the file.
        spec: a contract for rows.
        id: the column with the names of the rows. Without it: a column that the model does not take, is called like
            one (Id, user_id, ...) and holds a different value in every row, if there is one.

    Raises:
        DataError: a column is missing, a value is no number or date where one is wanted, or the file is unreadable.
    """
    if not any(column.source for column in spec.columns):
        return Rows(_read_plain(path, spec))
    table = _table(path, spec, id)
    ids, id_name = _ids(table, spec, id, path)
    x, odd = encode(table.columns, spec.columns, str(path))
    notes = [finding.cause for finding in table.findings if finding.severity != "note"]
    return Rows(x, ids, id_name, (*notes, *said(odd)))


def parse(rows: list[list[str]], spec: Spec, where: str) -> np.ndarray:
    """Rows of text as float32 ``(N, D)``.

    Args:
        rows: the values; for a model that was trained on a table, one for each of its raw columns.
        spec: a contract for rows.
        where: what to call the source in an error.

    Raises:
        DataError: the number of values is wrong, or one is no finite number where one is wanted.
    """
    sources = _sources(spec)
    width = len(sources) or spec.shape[0]
    for number, row in enumerate(rows):
        if len(row) != width:
            raise DataError(
                f"{where}: row {number + 1} has {len(row)} values, the model wants {width}", "give one value per column"
            )
    if not rows:
        raise DataError(f"{where} has no rows", "give at least one")
    if not sources:
        return _parse_plain(rows, spec, where)
    raws = {}
    for place, name in enumerate(sources):
        texts = [row[place] for row in rows]
        raws[name] = merged(name, np.arange(len(texts), dtype=np.int32), texts).tidy()
    return encode(raws, spec.columns, where)[0]


def _sources(spec: Spec) -> list[str]:
    return list(dict.fromkeys(column.source for column in spec.columns if column.source))


def _table(path: Path, spec: Spec, id: str) -> Table:
    """The file's columns, by the names of training."""
    sources = _sources(spec)
    as_text = {c.source for c in spec.columns if c.part or c.kind != "number"} | {id} - {""}
    if path.suffix.lower() not in files.OTHERS:
        as_text |= {name for name in look(path, known=sources).names if name not in sources and names_rows(name)}
    table = files.read(path, known=sources, as_text=as_text)
    if set(sources) <= set(table.columns):
        return table
    numbered = all(re.fullmatch(r"column-\d+", name) for name in sources)
    if table.header and (set(sources) & set(table.columns) or not numbered):
        return table  # encode says which columns are missing
    if table.header:
        table = files.read(path, header=False, as_text=as_text)
    if numbered and len(table.columns) != len(sources):
        return table
    if len(table.columns) != len(sources):
        raise DataError(
            f"{path}: row 1 has {len(table.columns)} values, the model wants {len(sources)}",
            f"name the columns in a header row; the model was trained on {', '.join(sources[:10])}",
        )
    if not numbered:  # read again: which columns are text is known only now
        names = list(table.columns)
        texts = {old for old, new in zip(names, sources, strict=True) if new in as_text}
        table = files.read(path, header=False, as_text=texts)
    return Table(dict(zip(sources, table.columns.values(), strict=True)), table.findings, header=False)


def _ids(table: Table, spec: Spec, id: str, path: Path) -> tuple[tuple[str, ...] | None, str]:
    if id and id not in table.columns:
        raise DataError(f"{path} lacks the column {id} with the names of the rows", "name another with id=")
    sources = set(_sources(spec))
    for name in [id] if id else [n for n in table.columns if n not in sources and names_rows(n)]:
        raw = table.columns[name].texts()
        if id or (len(raw.levels) == len(raw) and not raw.missing.any()):
            return _texts(raw), name
    return None, ""


def _texts(raw: Raw) -> tuple[str, ...]:
    assert raw.codes is not None
    return tuple(raw.levels[code] if code >= 0 else "" for code in raw.codes)


def said(odd: list[Odd]) -> list[str]:
    """What was noticed of values that could not be taken as they are, a sentence for each column."""
    return [
        f"{one.column}: {one.what} (row {one.first + 1}" + f" and {one.rows - 1} more such rows" * (one.rows > 1) + ")"
        for one in odd
    ]


def _read_plain(path: Path, spec: Spec) -> np.ndarray:
    """Rows of nothing but finite numbers."""
    import pandas as pd

    names = [column.name for column in spec.columns]
    try:
        table = pd.read_csv(
            _content(path),
            sep="\t" if path.suffix.lower() == ".tsv" else ",",
            header=None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except (OSError, ValueError) as error:  # pandas' parser errors and bad encodings are ValueErrors
        raise DataError(f"{path} cannot be read as CSV: {error}", "give a comma-separated text file in UTF-8") from None
    header = [str(value).strip() for value in table.iloc[0]]
    if set(header) & set(names) or not any(map(is_number, header)):
        missing = [name for name in names if name not in header]
        if missing:
            raise DataError(
                f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)} that the model was trained on",
                "name the columns as in training, or leave the header row out and keep their order",
            )
        table = table.iloc[1:, [header.index(name) for name in names]]
    return parse(table.to_numpy(dtype=str).tolist(), spec, str(path))


def _parse_plain(rows: list[list[str]], spec: Spec, where: str) -> np.ndarray:
    block = np.empty((len(rows), spec.shape[0]), np.float32)
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            if not is_number(text):
                name = spec.columns[column].name if spec.columns else f"column {column + 1}"
                raise DataError(f"{where}: row {number + 1}, {name}: {text!r} is not a number", "give a finite number")
            block[number, column] = float(text)
    return block


def _content(path: Path) -> io.BytesIO:
    """The whole file, read piece by piece: a pipe or device does not tell its size."""
    content = io.BytesIO()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            if b"\0" in piece:
                raise DataError(f"{path} cannot be read as CSV: it holds zero bytes", "give a text file in UTF-8")
            content.write(piece)
            if content.tell() > LIMIT:
                raise DataError(f"{path} is larger than {LIMIT >> 20} MiB", "split it")
    content.seek(0)
    return content


def is_number(text: str) -> bool:
    """Whether a text is a finite number that single precision can hold."""
    try:
        return "_" not in text and abs(float(text)) <= LARGEST  # NaN is not; Python alone reads 5_1 as 51
    except ValueError:
        return False
