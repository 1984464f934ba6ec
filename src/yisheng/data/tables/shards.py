"""A table in many files: read one after the other, into a block that need not fit in memory.

In a first pass a sample of the rows decides what the columns are, as a complete table would. A second pass reads every
file by these columns, as a later table is read, and appends its rows to the block.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally
from yisheng.core.spec import Spec
from yisheng.data.objects._blocks import GrowingBlock
from yisheng.data.tables import files, table_dataset
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.encode import encode_columns
from yisheng.data.tables.later_tables import choose_later
from yisheng.data.tables.other_targets import read_labels, read_values
from yisheng.data.tables.raw_column import RawColumn, concatenate_columns
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.table import Table
from yisheng.data.tables.target_words import settle_test_words, settle_words
from yisheng.data.tables.targets import Target
from yisheng.data.tables.training_tables import choose_columns

MAX_SAMPLE_ROWS: Final = 200_000
"""Rows that decide what the columns are, evenly spaced over all files; those with the first occurrence of a value are
added."""
MAX_VALUES: Final = 10_000
"""Different values of a column whose first rows are added to the sample; one with more is not a category."""
SHARD_SUFFIXES: Final = (".csv", ".tsv", ".parquet")
GLOB_SIGNS: Final = "*?["


class ShardPaths(Sized, Iterable[Path], Protocol):
    """Paths of files that are read one after the other, several times; a file need not exist before its turn."""


def has_glob(path: str | Path) -> bool:
    """Return whether a path is a pattern for several files, and not the name of one.

    >>> has_glob("rows/*.parquet"), has_glob("rows.csv")
    (True, False)
    """
    return any(sign in str(path) for sign in GLOB_SIGNS) and not os.path.lexists(path)


def list_shards(path: Path) -> list[Path]:
    """Return the files of a table: those that match a pattern, or all in a folder; empty if they are not tables.

    Hidden files and those that begin with ``_`` (``_SUCCESS``) are left out. The order is the natural one of the names.
    """
    if has_glob(path):
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207  # absolute patterns
    elif path.is_dir():
        names = [str(child) for child in path.iterdir()]
    else:
        return []
    paths = [Path(name) for name in _choose_tables(names)]
    return paths if all(path.is_file() for path in paths) else []


def name_shards(names: Collection[str]) -> list[str]:
    """Return the files of a table among those of a folder, by their names relative to it, as `list_shards` does.

    >>> name_shards(["part-10.csv", "part-9.csv", "_SUCCESS"]), name_shards(["a.csv", "b.txt"])
    (['part-9.csv', 'part-10.csv'], [])
    """
    return [] if any("/" in name for name in names) else _choose_tables(names)


def _choose_tables(names: Collection[str]) -> list[str]:
    """Return the names of tables in their natural order, without hidden files; none if another file is among them."""
    chosen = [name for name in sort_naturally(names) if not Path(name).name.startswith((".", "_"))]
    return chosen if all(files.table_suffix(Path(name)) in SHARD_SUFFIXES for name in chosen) else []


def read_shards(name: str, paths: ShardPaths, roles: Roles, options: ReadingOptions) -> Dataset:
    """Return the data set of a table in several files, in the order of the files and their rows.

    With up to `MAX_SAMPLE_ROWS` rows it is exactly that of one file with all rows.

    Args:
        name: of the data set.
        paths: the files; each of them fits in memory.
        roles: the user's choices about the columns.
        options: how text is read.

    Raises:
        UsageError: a column does not exist, or a time or group is given for more rows than the sample has.
        DataError: a file cannot be read, or lacks a column of the first one; or there is nothing to learn.
    """
    sample = _Sample(name)
    choose = choose_columns(roles)
    for path in paths:
        sample.add(path, files.read_table(path, options, known_names=roles.mentioned_columns, choose=choose))
    table = sample.make_table()
    if sample.is_complete:
        return table_dataset.build_dataset(name, table, roles)
    resolved = roles.resolve(list(table.columns), None)
    for key in ("time", "group"):
        if getattr(resolved, key):
            raise UsageError(
                Message(
                    "{key}= is for tables of up to {limit} rows, {name} has {rows} in {count} files",
                    key=key,
                    limit=f"{MAX_SAMPLE_ROWS:,}",
                    name=name,
                    rows=f"{sample.total:,}",
                    count=len(paths),
                ),
                Message("leave {key}= out, or use fewer rows", key=key),
            )
    targets = settle_words({target: table.columns[target] for target in resolved.target}, resolved)[0]
    reading = table.reading
    decided = table_dataset.build_dataset(name, table, replace(resolved, id=""))
    later = replace(options, prior_encoding=reading.encoding, is_later=True)
    x, y, left_out = _read_all(name, paths, decided.spec, targets, resolved, later)
    return Dataset(
        name,
        decided.spec,
        x,
        y,
        findings=(
            *(finding for finding in decided.findings if finding.check != "missing target"),
            _describe_sample(len(decided), sample.total, left_out),
        ),
    )


@dataclass
class _Sample:
    """Evenly spaced rows of all files, and the first row of each value of each column.

    Args:
        name: of the data set, for errors.
    """

    name: str
    total: int = 0
    stride: int = 1
    chunks: list[_Chunk] = field(default_factory=list)
    first: Table | None = None
    findings: dict[str, Finding] = field(default_factory=dict)
    values: dict[str, set[object]] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Return whether the sample has all rows."""
        return self.stride == 1

    def add(self, path: Path, table: Table) -> None:
        """Add the rows of the next file."""
        self.first = self.first or replace(table, columns={})
        names = list(self.chunks[0].columns) if self.chunks else list(table.columns)
        absent = [name for name in names if name not in table.columns]
        if absent:
            raise DataError(
                Message("{path} lacks the column {column} of the first file", path=path, column=absent[0]),
                Message("give files of one table, with the same columns"),
            )
        columns = {name: table.columns[name] for name in names}
        numbers = self.total + np.arange(table.row_count)
        self.chunks.append(_Chunk(columns, numbers, self._find_first_rows(columns, table.row_count)))
        self.findings |= {repr(finding.cause): finding for finding in table.findings}
        self.total += table.row_count
        while self.total // self.stride > MAX_SAMPLE_ROWS:
            self.stride *= 2
        self.chunks = [chunk.thin(self.stride) for chunk in self.chunks]

    def make_table(self) -> Table:
        """Return the sampled rows in their order; the chunks are freed."""
        assert self.first is not None
        chunks, self.chunks = self.chunks, []
        columns = {name: concatenate_columns([chunk.columns[name] for chunk in chunks]) for name in chunks[0].columns}
        return replace(self.first, columns=columns, findings=tuple(self.findings.values()))

    def _find_first_rows(self, columns: Mapping[str, RawColumn], rows: int) -> np.ndarray:
        """Return the mask of rows with a value that no row before has, in a column of few values."""
        mask = np.zeros(rows, bool)
        for name, raw in columns.items():
            seen_values = self.values.setdefault(name, set())
            if len(seen_values) > MAX_VALUES or raw.is_free_text or not rows:
                continue
            if raw.codes is not None:
                codes, positions = np.unique(raw.codes, return_index=True)
                if len(codes) > MAX_VALUES:  # names of the rows, say: they would all be added
                    seen_values |= set(raw.categories[: MAX_VALUES + 1])
                    continue
                pairs = [(raw.categories[code], row) for code, row in zip(codes, positions, strict=True) if code >= 0]
            elif raw.numbers is not None:
                present = np.flatnonzero(~raw.missing)
                distinct, positions = np.unique(raw.numbers[present], return_index=True)
                if len(distinct) > MAX_VALUES:
                    seen_values |= set(distinct.tolist()[: MAX_VALUES + 1])
                    continue
                pairs = list(zip(distinct.tolist(), present[positions], strict=True))
            mask[[row for value, row in pairs if value not in seen_values]] = True
            seen_values |= {value for value, _ in pairs}
        return mask


@dataclass(frozen=True)
class _Chunk:
    """Sampled rows of a file: their values, their numbers in the table, and which are kept for a first value."""

    columns: dict[str, RawColumn]
    numbers: np.ndarray
    is_first: np.ndarray

    def thin(self, stride: int) -> _Chunk:
        """Return the rows whose number is a multiple of the stride, and those that are kept."""
        keep = np.flatnonzero((self.numbers % stride == 0) | self.is_first)
        if len(keep) == len(self.numbers):
            return self
        columns = {name: raw.take(keep) for name, raw in self.columns.items()}
        return _Chunk(columns, self.numbers[keep], self.is_first[keep])


def _read_all(
    name: str,
    paths: ShardPaths,
    spec: Spec,
    targets: Mapping[str, RawColumn],
    roles: Roles,
    options: ReadingOptions,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return inputs ``(N, D)``, targets, and the number of rows without a target, which are left out."""
    block, parts, left_out = GrowingBlock(name, keeps_double=spec.is_double), list[np.ndarray](), 0
    for x, y, missing in _read_each(paths, spec, targets, roles, options):
        block.append(x)
        parts.append(y)
        left_out += missing
    return block.finish(), np.concatenate(parts), left_out


def _read_each(
    paths: ShardPaths,
    spec: Spec,
    targets: Mapping[str, RawColumn],
    roles: Roles,
    options: ReadingOptions,
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    written = [target for target in roles.target if targets[target].numbers is None or targets[target].number_format]
    choose = choose_later(spec.columns, text=written, words=roles.target)
    known_names = {*roles.mentioned_columns, *(column.source for column in spec.columns)}
    target_type = np.float64 if spec.task == "regression" else np.float32
    form = Target(spec.task, np.empty(0, target_type), spec.classes, spec.target_columns, spec.label_forms)
    for path in paths:
        table = files.read_table(path, options, known_names=known_names, choose=choose)
        raws = settle_test_words(table.columns, targets, roles)
        usable = np.flatnonzero(~np.any([raws[target].missing for target in roles.target], axis=0))
        own_targets = [raws[target].take(usable).normalize(()) for target in roles.target]
        if spec.task == "classification":
            y, unknown = read_labels(own_targets[0], spec.classes, spec.label_forms)
            if unknown:
                raise DataError(
                    Message(
                        "{path} changed while it was read: it has the new class {label}",
                        path=path,
                        label=next(iter(unknown)),
                    ),
                    Message("run the command again when the files are complete"),
                )
        else:
            y = read_values(own_targets, form, str(path))
        x, _ = encode_columns(
            {key: raw for key, raw in raws.items() if key not in roles.target}, spec.columns, str(path)
        )
        yield (x if len(usable) == len(x) else x[usable]), y, len(x) - len(usable)


def _describe_sample(table_rows: int, total: int, left_out: int) -> Finding:
    values = {"rows": f"{table_rows:,}", "total": f"{total:,}"}
    cause = Message("kinds and formats of columns are those of {rows} of {total} rows, spread over all files", **values)
    if left_out:
        cause = Message("{cause}; {count} rows have no target and are left out", cause=cause, count=f"{left_out:,}")
    return Finding(
        "sample",
        "note",
        {"rows": table_rows, "total": total},
        cause,
        Message("give the kind of a column with kinds=NAME:KIND if it is another one"),
    )
