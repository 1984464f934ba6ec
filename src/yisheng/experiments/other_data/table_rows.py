"""The rows of a table as a run takes them: columns by name, categories, dates and number formats as in training."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.class_names import FORMS, list_names, normalize_name
from yisheng.data.tables import files, resolve_test_path
from yisheng.data.tables.column_kinds import is_id_name
from yisheng.data.tables.column_roles import join_names
from yisheng.data.tables.encode import encode_columns
from yisheng.data.tables.later_tables import (
    choose_later,
    drop_missing_words,
    match_header,
    source_names,
)
from yisheng.data.tables.literals import infer_number_format
from yisheng.data.tables.other_targets import read_labels, read_values
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.table import ChooseColumns, Table
from yisheng.data.tables.targets import Target
from yisheng.experiments.other_data.matching import MatchedTargets, count_classes, model_names, raise_no_match
from yisheng.experiments.other_data.rows import OtherRows, select_part
from yisheng.inference.rows import describe_unusable_values

NUMBERED = re.compile(r"column-\d+")


@dataclass(frozen=True)
class TableRoles:
    """Columns of the other table that are not inputs of the run.

    Args:
        target: names of the targets; empty for those of the run.
        id: the column with the row names, or empty.
        run_id: the column that named the rows in training; used if the table has it.
    """

    target: tuple[str, ...] = ()
    id: str = ""
    run_id: str = ""


def read_table_files(
    path: Path, test: Path | None, spec: Spec, roles: TableRoles, reading: Mapping[str, Any]
) -> list[Table]:
    """Read a table, and its test table if there is one, in the way in which prediction reads tables.

    Args:
        path: the file.
        test: the test table, or None.
        spec: the contract of the run.
        roles: the columns that are not inputs.
        reading: ``header``, ``separator`` and further options of `yisheng.data.tables.files.read_table`.

    Raises:
        DataError: a file cannot be read.
    """
    targets = roles.target or target_names(spec)
    known_names = [*source_names(spec), *targets]
    options = ReadingOptions.parse(reading).with_training(spec)
    paths = [path] if test is None else [path, resolve_test_path(path, test)]
    return [
        files.read_table(
            file,
            match_header(file, spec, options, targets) if files.is_text(file, options) else options,
            known_names=known_names,
            choose=choose_other(spec, targets, (roles.id, roles.run_id)),
        )
        for file in paths
    ]


def choose_other(spec: Spec, targets: Sequence[str], ids: Sequence[str] = ()) -> ChooseColumns:
    """Return how the columns of another table are read."""
    return choose_later([*spec.columns, *spec.target_columns], text=ids, words=targets)


def adapt_tables(
    name: str, tables: Sequence[Table], spec: Spec, roles: TableRoles, *, part: str | None, forms: Sequence[str]
) -> OtherRows:
    """Return the rows of tables as a run takes them.

    Args:
        name: of the data.
        tables: the table, and perhaps its test table.
        spec: the contract of the run; its columns say how a table is read.
        roles: the columns that are not inputs.
        part: ``train`` for the first table, ``test`` for the second; None for all rows.
        forms: forms of the labels.

    Raises:
        UsageError: there is no such part, or no such column.
        DataError: a column is missing, a value cannot be read as in training, or no label is a class of the run.
    """
    columns = [_name_columns(table, spec) for table in tables]
    targets = _find_targets(name, columns, spec, roles)
    parts = np.repeat(np.array([0, 2], np.int8)[: len(tables)], [table.row_count for table in tables])
    selected = select_part(name, parts if len(tables) > 1 else None, len(parts), part)
    for raws in columns:
        raws |= {target: drop_missing_words(raws[target], spec.classes) for target in targets}
    present = np.concatenate([~np.any([raws[target].missing for target in targets], axis=0) for raws in columns])
    index = selected[present[selected]]
    if not len(index):
        raise DataError(
            Message("{name}: the target {targets} is missing in every row", name=name, targets=", ".join(targets)),
            Message("name it with target="),
        )
    row_names = _read_row_names(columns, roles)
    matched = _match_targets(name, columns, targets, present, spec, forms)
    matched = replace(matched, y=matched.y[np.searchsorted(np.flatnonzero(present), index)])
    if spec.task == "classification":
        assert matched.classes is not None
        matched = replace(matched, classes=count_classes(matched.y, spec, matched.classes.unknown))
    blocks, notes = [], [finding.cause for table in tables for finding in table.findings if finding.severity != "note"]
    for raws in columns:
        block, unusable = encode_columns(dict(raws), _named_columns(spec, raws, targets), name)
        blocks.append(block)
        notes += describe_unusable_values(unusable)
    x = np.concatenate(blocks)
    if len(index) < len(selected):
        count = f"{len(selected) - len(index):,}"
        notes.append(Message("{count} rows have no target: they are left out", count=count))
    digest = hashlib.sha256(x.tobytes() + matched.y.tobytes() + repr(matched.classes).encode()).hexdigest()
    return OtherRows(
        name, lambda rows: np.ascontiguousarray(x[rows]), index, matched, digest, row_names, (*notes, *matched.notes)
    )


def target_names(spec: Spec) -> tuple[str, ...]:
    """Return the names of the columns that a run predicts."""
    if spec.target_columns:
        return tuple(column.name for column in spec.target_columns)
    if spec.task == "multilabel":
        return spec.classes
    return spec.target_names


def _name_columns(table: Table, spec: Spec) -> dict[str, RawColumn]:
    """Return the columns by name; by position if the run's table had no header."""
    sources = source_names(spec)
    is_numbered = bool(sources) and all(map(NUMBERED.fullmatch, sources))
    if not is_numbered or set(sources) <= set(table.columns):
        return dict(table.columns)
    return {f"column-{n}": replace(raw, name=f"column-{n}") for n, raw in enumerate(table.columns.values(), 1)}


def _find_targets(
    name: str, columns: Sequence[Mapping[str, RawColumn]], spec: Spec, roles: TableRoles
) -> tuple[str, ...]:
    """Return the names of the target columns.

    Raises:
        DataError: a table has no such column.
    """
    first = columns[0]
    requested = join_names(roles.target, list(first)) or target_names(spec)
    names = [_resolve_position(first, target) for target in requested]
    for raws in columns:
        missing = [target for target in names if target not in raws]
        if missing:
            by_form = {normalize_name(column, FORMS): column for column in raws}
            similar = [by_form[form] for target in missing if (form := normalize_name(target, FORMS)) in by_form]
            listed = ", ".join(list(raws)[:12]) + ", ..." * (len(raws) > 12)
            raise DataError(
                Message(
                    "{name} has no column {missing}, the target of the run; it has {listed}",
                    name=name,
                    missing=", ".join(missing),
                    listed=listed,
                ),
                Message(
                    "name it with target={similar}; rows without targets can be predicted, not scored",
                    similar=",".join(similar) or "NAME",
                ),
            )
    if roles.id and roles.id not in first:
        raise UsageError(Message("{name} has no column {id}", name=name, id=roles.id), Message("name another with id="))
    return tuple(names)


def _resolve_position(columns: Mapping[str, RawColumn], name: str) -> str:
    """Return the column that is meant by a name, by a number from 1, or by ``last``, as in training."""
    if name not in columns and name == "last":
        return list(columns)[-1]
    if name not in columns and name.isdecimal() and len(name) < 6 and 1 <= int(name) <= len(columns):
        return list(columns)[int(name) - 1]
    return name


def _match_targets(
    name: str,
    columns: Sequence[Mapping[str, RawColumn]],
    targets: Sequence[str],
    present: np.ndarray,
    spec: Spec,
    forms: Sequence[str],
) -> MatchedTargets:
    """Return the targets of all rows that have one."""
    ends = np.cumsum([len(raws[targets[0]]) for raws in columns])
    rows_of = [np.flatnonzero(mask) for mask in np.split(present, ends[:-1])]
    raws_of = [
        [raws[target].take(rows).normalize(()) for target in targets]
        for raws, rows in zip(columns, rows_of, strict=True)
    ]
    note = Message("the target is {name} here, {run_name} in the run", name=", ".join(targets), run_name=spec.target)
    notes = (note,) if ", ".join(targets) != spec.target and spec.task != "multilabel" else ()
    if spec.task == "classification":
        names = model_names(spec, forms)
        read = [read_labels(raws[0], names, forms) for raws in raws_of]
        unknown: dict[str, int] = {}
        for _, counts in read:
            for label, count in counts.items():
                unknown[label] = unknown.get(label, 0) + count
        y = np.concatenate([numbers for numbers, _ in read])
        if not (y >= 0).any():
            raise_no_match(name, spec, list(unknown))
        return MatchedTargets(y, count_classes(y, spec, unknown), notes)
    target = Target(spec.task, np.empty(0), spec.classes, _target_columns(spec, raws_of[0]), tuple(forms))
    if len(targets) != len(target.columns):
        raise DataError(
            Message(
                "{name}: the run predicts {count} targets ({targets}), got {received}",
                name=name,
                count=len(target.columns),
                targets=list_names(target_names(spec)),
                received=len(targets),
            ),
            Message("name as many with target="),
        )
    y = np.concatenate([read_values(raws, target, name) for raws in raws_of])
    return MatchedTargets(y, count_classes(y, spec, {}) if spec.task == "multilabel" else None, notes)


def _target_columns(spec: Spec, raws: Sequence[RawColumn]) -> tuple[Column, ...]:
    """Return how numbers are written: as in training, or if that is unknown as this table's own texts are."""
    if spec.target_columns:
        return spec.target_columns
    return tuple(
        Column(raw.name, format=(infer_number_format(raw.categories) or "") if raw.numbers is None else "")
        for raw in raws
    )


def _named_columns(spec: Spec, raws: Mapping[str, RawColumn], targets: Sequence[str]) -> list[Column]:
    """Return the run's columns with the columns of a table that they are read from."""
    if spec.columns:
        return [replace(column, source=column.source or column.name) for column in spec.columns]
    names = [name for name in raws if name not in targets]
    if len(names) != spec.shape[0]:
        raise DataError(
            Message(
                "the table has {count} columns besides the target, the run takes {run_columns}",
                count=len(names),
                run_columns=spec.shape[0],
            ),
            Message("give the run's columns in their order; drop the others"),
        )
    return [Column(name, source=name) for name in names]


def _read_row_names(columns: Sequence[Mapping[str, RawColumn]], roles: TableRoles) -> tuple[str, ...] | None:
    """Return the names of the rows: of the column ``id``, or of one that is called so and differs in every row."""
    chosen = roles.id or roles.run_id
    for name in [chosen] if chosen in columns[0] else filter(is_id_name, columns[0]):
        names = [text for raws in columns if name in raws for text in _texts(raws[name])]
        if len(names) == sum(map(_row_count, columns)) and (name == chosen or len(set(names)) == len(names)):
            return tuple(names)
    return None


def _texts(raw: RawColumn) -> list[str]:
    texts = raw.as_text()
    if texts.codes is None or texts.is_free_text:
        return []
    return [texts.categories[code] if code >= 0 else "" for code in texts.codes]


def _row_count(raws: Mapping[str, RawColumn]) -> int:
    return len(next(iter(raws.values())))
