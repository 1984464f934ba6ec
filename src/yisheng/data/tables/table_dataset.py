"""Build a data set from the columns of a table: infer their kinds, read the target, encode the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message, join_messages
from yisheng.core.spec import Spec
from yisheng.data.class_names import FORMS, normalize_name
from yisheng.data.part_labels import check_part_labels
from yisheng.data.tables import dates
from yisheng.data.tables.column_kinds import find_date_format, infer_column, is_id_name
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.column_summary import describe_inferred, list_columns, summarize_columns
from yisheng.data.tables.encode import encode_columns
from yisheng.data.tables.inferred_column import InferredColumn, parse_date_column
from yisheng.data.tables.later_tables import TestTable, choose_later
from yisheng.data.tables.other_targets import add_test_targets
from yisheng.data.tables.raw_column import RawColumn, concatenate_columns
from yisheng.data.tables.table import Table
from yisheng.data.tables.target_suggestions import suggest_targets
from yisheng.data.tables.target_words import settle_test_words, settle_words
from yisheng.data.tables.targets import Target, read_target
from yisheng.data.tables.total_rows import check_total_rows
from yisheng.data.tables.value_ranges import record_ranges

TRAIN_PART, TEST_PART = 0, 2
MAX_NAMED_ROWS = 200_000
"""Rows that are named by an identifier that nobody asked for: the names of more would take much memory."""


def describe_columns(table: Table, roles: Roles) -> list[dict[str, Any]]:
    """Return a dict for each column of a table: its kind, missing values, values, and how it is used.

    No target is required. Keys: ``column``, ``kind``, ``missing`` (a count), ``values`` (the range or the categories),
    ``becomes`` (features, role, or why it is left out).

    Raises:
        UsageError: a role names a column that does not exist.
        DataError: a column cannot be read as the kind that ``kinds=`` gives it.
    """
    resolved = roles.resolve(list(table.columns), target_required=bool(roles.target))
    return describe_inferred(_infer_columns(table.columns, resolved))


def outline_table(name: str, table: Table, roles: Roles) -> dict[str, Any]:
    """Return facts about a table without a target: rows, columns, columns that may be the target, and findings.

    Args:
        name: name of the data.
        table: the columns.
        roles: the user's choices; no target is required.

    Raises:
        UsageError: a role names a column that does not exist.
        DataError: a column cannot be read as the kind that ``kinds=`` gives it.
    """
    resolved = roles.resolve(list(table.columns), target_required=False)
    inferred = _infer_columns(table.columns, resolved)
    suggestions = suggest_targets(table.columns, inferred, resolved)
    findings = [*table.findings, *(finding for column in inferred for finding in column.findings)]
    findings += check_total_rows(table.columns, inferred)
    facts = {
        "name": name,
        "rows": table.row_count,
        "columns": describe_inferred(inferred),
        "targets": [{"target": f"target={item.column}", "task": item.task, "why": item.reason} for item in suggestions],
        "findings": [
            {"severity": f.severity, "check": f.check, "cause": f.cause, "remedy": f.remedy} for f in findings
        ],
    }
    return {key: value for key, value in facts.items() if value != []}


def build_dataset(name: str, table: Table, roles: Roles, test: TestTable | None = None) -> Dataset:
    """Return the data set of a table, with ``test`` as its test part if given.

    Kinds and categories are inferred from ``table`` alone. ``test`` is read as in prediction, so nothing leaks from it
    into training.

    Args:
        name: name of the data set.
        table: the columns; it is emptied while they are encoded, to free their memory.
        roles: the target and the other roles that the user chose.
        test: a table of the same columns, read by their kinds. If it has the target, it is the official test part; if
            not, it is only checked for values that the model cannot read.

    Raises:
        UsageError: a role names a column that does not exist, or the target is not given and cannot be inferred.
        DataError: no column is left to learn from, or the target cannot be learned.
    """
    roles = roles.resolve(list(table.columns), None if test is None else test.names)
    has_test_part = test is not None and all(name in test.names for name in roles.target)
    raws, n = dict(table.columns), table.row_count
    raws, findings = settle_words(raws, roles)
    train_usable, _, _ = _find_usable([raws], roles)
    train_raws = raws
    if not train_usable.all():
        train_rows = np.flatnonzero(train_usable)
        train_raws = {
            column: raw.take(train_rows).normalize(() if column in roles.target else None)
            for column, raw in raws.items()
        }
    inferred = _infer_columns(train_raws, roles)
    findings += check_total_rows(raws, inferred)
    if not roles.id and n <= MAX_NAMED_ROWS:
        roles = replace(roles, id=_find_id(inferred))
    columns = tuple(
        replace(feature, missing_words=(*feature.missing_words, *table.reading.missing))
        for column in inferred
        for feature in column.features
    )
    if not columns:
        reasons = list_columns(inferred, 10)
        raise DataError(
            Message(
                "{name} has no column left to predict {target} from: {reasons}",
                name=name,
                target=", ".join(roles.target),
                reasons=reasons,
            ),
            Message("add columns to the table, or override the kind of one with kinds=NAME:KIND"),
        )
    test_name = Message("{name} (test table)", name=name)
    tables, test_table = [raws], None
    if test is not None:
        written = [name for name in roles.target if raws[name].numbers is None or raws[name].number_format]
        choose = choose_later(columns, text=[*written, roles.id], words=roles.target)
        test_table = test.read(choose, table.reading)
        if has_test_part:
            tables.append(settle_test_words(test_table.columns, raws, roles))
    usable, time, usable_findings = _find_usable(tables, roles)
    target = _read_targets(tables, roles, usable, test_name)
    findings += usable_findings
    row_names, group = _read_row_names(tables, roles, usable), _read_groups(tables, roles, usable)
    table.columns.clear()
    tables[0] = {}
    del raws
    x, _ = encode_columns(train_raws, columns, name)
    columns = record_ranges(columns, x)
    part = None
    if test_table is not None:
        x_test, test_findings = _encode_test(test_table, columns, test_name)
        findings += test_findings
        if not has_test_part:
            findings += _report_similar_target(test_table, roles.target)
        else:
            x = np.concatenate([x, x_test[usable[n:]]])
            counts = [int(usable[:n].sum()), int(usable[n:].sum())]
            part = np.repeat(np.array([TRAIN_PART, TEST_PART], np.int8), counts)
    if target.task == "classification":
        findings += check_part_labels(name, target.classes, target.y, part)
    findings += [finding for column in inferred for finding in column.findings]
    return Dataset(
        name,
        replace(_make_spec(target, columns), reading=table.reading),
        x,
        target.y,
        part,
        rows=row_names,
        group=group,
        time=time,
        findings=(*target.findings, *table.findings, *findings, summarize_columns(inferred)),
    )


def _make_spec(target: Target, columns: tuple[Column, ...]) -> Spec:
    return Spec(
        target.task,
        (len(columns),),
        target.classes,
        columns,
        ", ".join(column.name for column in target.columns),
        outputs=target.y.shape[1] if target.task == "regression" else 0,
        target_columns=target.columns,
        label_forms=target.forms,
    )


def _report_similar_target(test: Table, target: tuple[str, ...]) -> list[Finding]:
    """Return a warning if a test table without the target has a column whose name differs from it only in form."""
    names = {normalize_name(name, FORMS): name for name in test.columns}
    similar = {name: names[form] for name in target if (form := normalize_name(name, FORMS)) in names}
    similar = {name: column for name, column in similar.items() if name != column}
    if not similar:
        return []
    pairs = join_messages(
        Message("{column} for {name}", column=f"{column!r}", name=f"{name!r}") for name, column in similar.items()
    )
    return [
        Finding(
            "test target",
            "warning",
            {"columns": similar},
            Message("the test table has no target, so its rows are not scored; it has {values}", values=pairs),
            Message("name the column as in the training table, if it is the target"),
        )
    ]


def _infer_columns(raws: dict[str, RawColumn], roles: Roles) -> list[InferredColumn]:
    """Return each column with its kind and the features that it becomes."""
    columns = []
    is_only_feature = sum(not roles.describe(name) for name in raws) == 1
    for name, raw in raws.items():
        role = roles.describe(name)
        if role:
            if name in roles.drop:
                column = InferredColumn(name, "", int(raw.missing.sum()), "", "")
            else:
                column = infer_column(raw, is_only_column=True)
            columns.append(replace(column, becomes=role, features=(), findings=()))
            continue
        is_time = name == roles.time
        column = infer_column(raw, roles.kinds.get(name, ""), is_only_column=is_only_feature or is_time)
        columns.append(_keep_repeating_parts(column, dropped=name in roles.drop) if is_time else column)
    return columns


def _keep_repeating_parts(column: InferredColumn, *, dropped: bool) -> InferredColumn:
    """Return the time column with its recurring features (weekday, ...) only: the year of a test row is always new."""
    features = tuple(f for f in column.features if f.date_part and f.date_part not in dates.TREND_PARTS)
    if dropped or not features:
        return replace(column, becomes=Message("the order of time"), features=())
    parts = ", ".join(feature.date_part for feature in features)
    return replace(column, becomes=Message("the order of time; numbers: {parts}", parts=parts), features=features)


def _find_usable(
    tables: list[dict[str, RawColumn]], roles: Roles
) -> tuple[np.ndarray, np.ndarray | None, list[Finding]]:
    """Return the mask of rows that have a target (and a time), their times, and findings about the other rows."""
    targets = [_concatenate(tables, name) for name in roles.target]
    time = _parse_times(_concatenate(tables, roles.time), roles.kinds.get(roles.time, "")) if roles.time else None
    usable = ~np.any([raw.missing for raw in targets], axis=0)
    findings = _report_missing("target", ", ".join(roles.target), usable)
    if not usable[: len(tables[0][roles.target[0]])].any():
        raise DataError(
            Message("the target {target} is missing in every row", target=", ".join(roles.target)),
            Message("name another column with target="),
        )
    if time is not None:
        findings += _report_missing("time", roles.time, ~np.isnan(time))
        usable = usable & ~np.isnan(time)
        if not usable.any():
            raise DataError(
                Message("no row has both its target and its time ({time})", time=roles.time),
                Message("fill in the missing values, or name other columns with target= and time="),
            )
        time = time[usable]
    return usable, time, findings


def _read_targets(tables: list[dict[str, RawColumn]], roles: Roles, usable: np.ndarray, test_name: str) -> Target:
    """Return the targets of the usable rows.

    Task, classes and number formats are those of the first table; the targets of the second are read as in it.
    """
    training_targets, *test_targets = (
        [tables[n][name].take(rows).normalize(()) for name in roles.target]
        for n, rows in enumerate(_rows_by_table(tables, usable, roles.target[0]))
    )
    target = read_target(training_targets, roles.task, roles.labels)
    for raws in test_targets:
        target = add_test_targets(target, raws, test_name)
    return target


def _rows_by_table(tables: list[dict[str, RawColumn]], usable: np.ndarray, column: str) -> list[np.ndarray]:
    """Return the numbers of the usable rows in each table."""
    ends = np.cumsum([len(raws[column]) for raws in tables])
    return [np.flatnonzero(mask) for mask in np.split(usable, ends[:-1])]


def _report_missing(role: str, name: str, present: np.ndarray) -> list[Finding]:
    count = int((~present).sum())
    if not count:
        return []
    first = int(present.argmin()) + 1
    values = {"count": f"{count:,}", "total": f"{len(present):,}", "name": name}
    cause = Message("{count} of {total} rows have no target ({name}): they are left out", **values)
    if role == "time":
        cause = Message("{count} of {total} rows have no time ({name}): they are left out", **values)
    return [
        Finding(
            f"missing {role}",
            "warning",
            {"column": name, "rows": count, "first": first},
            cause,
            Message("fill in the missing values that you know (the first is in row {first})", first=first),
        )
    ]


def _concatenate(tables: list[dict[str, RawColumn]], name: str) -> RawColumn:
    """Return a column with the rows of all tables, in order."""
    for raws in tables[1:]:
        if name not in raws:
            raise DataError(
                Message("the test table lacks the column {name}", name=name),
                Message("add this column to the test table"),
            )
    return concatenate_columns([raws[name] for raws in tables])


def _parse_times(raw: RawColumn, requested_kind: str) -> np.ndarray:
    """Return the time of each row, float64 ``(N,)``: days for dates, numbers unchanged; NaN where missing."""
    column = infer_column(raw, requested_kind, is_only_column=True)
    if column.kind == "date" or (column.kind == "constant" and raw.numbers is None):
        date_format = column.features[0].format if column.features else find_date_format(raw)[0]
        if date_format:
            return parse_date_column(raw.as_text(), date_format)
    if raw.numbers is None or not (np.abs(raw.numbers[~raw.missing].astype(np.float64)) < np.inf).all():
        raise DataError(
            Message(
                "time={name} must hold dates or finite numbers, got {kind}: {values}",
                name=raw.name,
                kind=column.kind,
                values=column.values,
            ),
            Message("give the format of the dates, as in kinds={name}:date:%d/%m/%Y", name=raw.name),
        )
    return raw.numbers.astype(np.float64)


def _find_id(columns: Sequence[InferredColumn]) -> str:
    """Return the name of a column that identifies the rows and is called so, or an empty text."""
    return next((c.name for c in columns if c.kind == "identifier" and is_id_name(c.name)), "")


def _read_row_names(tables: list[dict[str, RawColumn]], roles: Roles, usable: np.ndarray) -> tuple[str, ...] | None:
    if not roles.id:
        return None
    names: list[str] = []
    for raws in tables:
        if roles.id in raws:
            texts = raws[roles.id].as_text()
            codes = () if texts.codes is None else texts.codes
            names += [texts.categories[code] if code >= 0 else "" for code in codes]
        else:
            names += [str(row + 1) for row in range(len(next(iter(raws.values()))))]
    return tuple(name for name, is_kept in zip(names, usable, strict=True) if is_kept)


def _read_groups(tables: list[dict[str, RawColumn]], roles: Roles, usable: np.ndarray) -> np.ndarray | None:
    """Return the group number of each row, int64 ``(N,)``; each row without a group is a group of its own."""
    if not roles.group:
        return None
    texts = _concatenate(tables, roles.group).as_text()
    assert texts.codes is not None
    codes = texts.codes.astype(np.int64)
    ungrouped = codes < 0
    codes[ungrouped] = len(texts.categories) + np.arange(int(ungrouped.sum()))
    return codes[usable]


def _encode_test(test: Table, columns: tuple[Column, ...], source_name: str) -> tuple[np.ndarray, list[Finding]]:
    x, unusable = encode_columns(dict(test.columns), columns, source_name)
    return x, [
        Finding(
            "test table",
            "warning",
            {"column": values.column, "rows": values.row_count, "first": values.first_row + 1},
            Message(
                "{source_name}: {column}: {problem} ({count} rows, the first is row {row})",
                source_name=source_name,
                column=values.column,
                problem=values.problem,
                count=values.row_count,
                row=values.first_row + 1,
            ),
            Message("correct these values in the test table, unless they are meant so"),
        )
        for values in unusable
    ]
