"""The rows of a table as a stream: the same values as `yisheng.inference.rows.read_named` gives of the whole file."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.data.tables import decoded_text, files
from yisheng.data.tables.column_kinds import names_rows
from yisheng.data.tables.delimited import chunks, noticed
from yisheng.data.tables.encode import encode
from yisheng.data.tables.raw_column import Raw, merged
from yisheng.data.tables.scan import Scan, scan
from yisheng.data.tables.sniff import Look, look
from yisheng.inference import rows as whole
from yisheng.inference.bulk.chunk import ROWS, Chunk, Source, Tally, called, stamp
from yisheng.inference.bulk.numeric_rows import Plain

LOOKED = 1 << 24
"""Rows up to which a column is looked at whether it has another value in every one, eight bytes each."""


def opened(path: Path, spec: Spec, id: str = "") -> Source:
    """The rows of a table's file.

    Text is read as a stream, whatever its size; .parquet and .npz are read whole, as their forms want it.

    Args:
        path: the file.
        spec: a contract for rows.
        id: the column with the names of the rows; found by its name without it.

    Raises:
        DataError: the file cannot be read, or a column is missing.
    """
    if os.path.exists(path) and not path.is_file():  # noqa: PTH110  # never raises
        what = "a folder" if path.is_dir() else "no file, which could be read more than once"
        raise DataError(f"{path} cannot be read as a table: it is {what}", "give a table's file")
    if path.suffix.lower() in files.OTHERS:
        return Held(path, whole.read_named(path, spec, id))
    if not any(column.source for column in spec.columns):
        return Plain(path, spec)
    return Table(path, spec, id)


class Held:
    """Rows that were read whole."""

    def __init__(self, path: Path, found: whole.Rows) -> None:
        self.path, self.found = path, found
        self.id_name, self.total, self.notes, self.stamp = found.id_name, len(found.x), found.notes, stamp(path)

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        for at in range(tally.rows, len(self.found.x), ROWS):
            x = self.found.x[at : at + ROWS]
            ids = None if self.found.ids is None else self.found.ids[at : at + ROWS]
            yield Chunk(called(self.path, range(at, at + len(x))), x, ids, [()] * len(x))


@dataclass(frozen=True)
class Plan:
    """How a file of text is read for a model.

    Args:
        found: what its beginning told.
        seen: what a pass over it told.
        place: number of each of the model's columns in the file.
        texts: columns that are read as they are written.
        id: the column with the names of the rows, or None.
    """

    found: Look
    seen: Scan
    place: dict[str, int]
    texts: Collection[int]
    id: int | None


class Table:
    """The rows of a file of text that a model of a table is asked about.

    The file is gone through three times: once for its form, once for what its columns hold, and once to be answered;
    never more than some thousand rows are held.
    """

    def __init__(self, path: Path, spec: Spec, id: str) -> None:
        self.path, self.spec = path, spec
        self.stamp = stamp(path) if os.path.isfile(path) else ""  # noqa: PTH113  # never raises
        self.plan = _plan(path, spec, id)
        plan = self.plan
        self.id_name = "" if plan.id is None else plan.found.names[plan.id]
        self.total = plan.seen.rows - plan.found.header
        guessed = plan.seen.encoding if plan.seen.guessed else ""
        self.notes = [f.cause for f in noticed(path, plan.found, guessed) if f.severity != "note"]

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        at, plan = 0, self.plan
        for frame in _frames(self.path, plan, [*plan.place.values(), *([] if plan.id is None else [plan.id])]):
            n = len(frame)
            at += n
            if at <= tally.rows:
                continue
            before = at - n
            raws = {name: _raw(name, frame[number]) for name, number in plan.place.items()}
            x, odd = encode(raws, self.spec.columns, str(self.path), before)
            tally.see(odd)
            ids = None if plan.id is None else _ids(frame[plan.id])
            yield Chunk(called(self.path, range(before, at)), x, ids, [()] * n)


def _plan(path: Path, spec: Spec, id: str) -> Plan:
    separator = "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else decoded_text.AUTO
    sources = list(dict.fromkeys(column.source for column in spec.columns if column.source))
    found = look(path, known=sources, separator=separator)
    place = _place(path, spec, sources, found)
    if place is None:
        found = look(path, header=False, separator=separator)
        place = _place(path, spec, sources, found) or {}
    seen = scan(path, found.separator, len(found.names))
    if seen.encoding != "utf-8":
        found = look(path, header=found.header, separator=found.separator, encoding=seen.encoding, known=sources)
        place = _place(path, spec, sources, found) or place
    if not seen.rows - found.header:
        raise DataError(f"{path} has no rows below its header", "give at least a few rows")
    if id and id not in found.names:
        raise DataError(f"{path} lacks the column {id} with the names of the rows", "name another with id=")
    may = [name == id if id else name not in sources and names_rows(name) for name in found.names]
    candidates = np.flatnonzero(may).tolist()
    written = {place[c.source] for c in spec.columns if c.part or c.kind != "number"}
    plan = Plan(found, seen, place, {*written, *candidates, *seen.codes}, candidates[0] if id else None)
    return _looked_through(path, plan, [] if id else candidates)


def _place(path: Path, spec: Spec, sources: Sequence[str], found: Look) -> dict[str, int] | None:
    """Where the model's columns stand in the file; None where what looks like a header is none.

    Raises:
        DataError: columns are missing.
    """
    names = {name: number for number, name in enumerate(found.names)}
    numbered = all(re.fullmatch(r"column-\d+", name) for name in sources)
    if set(sources) <= set(names):
        return {name: names[name] for name in sources}
    if found.header and numbered and not set(sources) & set(names):
        return None
    if found.header or numbered:
        encode({name: Raw(name) for name in names}, spec.columns, str(path))  # says which are missing
    if len(names) != len(sources):
        raise DataError(
            f"{path}: row 1 has {len(names)} values, the model wants {len(sources)}",
            f"name the columns in a header row; the model was trained on {', '.join(sources[:10])}",
        )
    return {name: number for number, name in enumerate(sources)}


def _looked_through(path: Path, plan: Plan, candidates: Sequence[int]) -> Plan:
    """The plan with what only a pass over all values tells: columns of numbers with a text somewhere, and the names."""
    undecided = [n for n in plan.place.values() if n not in plan.texts]
    kinds: dict[int, set[bool]] = {n: set() for n in undecided}
    names = {n: list[np.ndarray]() for n in candidates}
    rows = 0
    for frame in _frames(path, plan, [*undecided, *candidates] or [0]):
        rows += len(frame)
        for n in undecided:
            if not frame[n].isna().all():
                kinds[n].add(frame[n].dtype.kind in "iuf")
        for n in list(names):
            raw = _raw("", frame[n])
            if raw.missing.any() or len(raw.levels) < len(raw) or rows > LOOKED:
                del names[n]
            else:
                names[n].append(pd.util.hash_array(np.array(raw.levels, object), categorize=False))
    counted = plan.seen.rows - plan.found.header
    if len(plan.found.names) > 1 and rows != counted:
        raise DataError(
            f"{path} cannot be read as a table: its quotes can be read in two ways ({rows} or {counted} rows)",
            'write every " inside a value as "", and put the value in quotes',
        )
    mixed = {n for n, found in kinds.items() if len(found) == 2}
    different = (n for n, some in names.items() if len(np.unique(np.concatenate(some))) == rows)
    id = next(different, None) if plan.id is None else plan.id
    return replace(plan, texts={*plan.texts, *mixed}, id=id)


def _frames(path: Path, plan: Plan, wanted: Collection[int]) -> Iterator[pd.DataFrame]:
    texts = sorted({*plan.texts} & {*wanted})
    return chunks(path, plan.found, plan.seen.encoding, texts, sorted({*wanted}), ROWS)


def _raw(name: str, values: pd.Series) -> Raw:
    """A part of a column."""
    if values.dtype.kind in "iuf":
        return Raw(name, numbers=values.to_numpy())
    codes, found = pd.factorize(values)
    return merged(name, codes.astype(np.int32), [str(text) for text in found]).tidy()


def _ids(values: pd.Series) -> list[str]:
    raw = _raw("", values).texts()
    assert raw.codes is not None
    return [raw.levels[code] if code >= 0 else "" for code in raw.codes]
