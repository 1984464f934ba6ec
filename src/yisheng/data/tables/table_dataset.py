"""From columns as they were read to a data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Column, Dataset, Finding, Spec
from yisheng.data.tables import dates
from yisheng.data.tables.column_kinds import infer_column
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.delimited import Table
from yisheng.data.tables.encode import encode_columns
from yisheng.data.tables.inferred_column import InferredColumn, parse_date_column
from yisheng.data.tables.raw_column import RawColumn, concatenate_columns
from yisheng.data.tables.targets import Target, read_target

_LEFT_OUT = "left out: "
TRAIN_PART, TEST_PART = 0, 2


def describe_columns(table: Table, roles: Roles) -> list[dict[str, Any]]:
    """Return a row for each column of a table: its kind, its missing values, its values, and what becomes of it.

    No target is required. Keys: ``column``, ``kind``, ``missing``, ``values``, ``becomes``.

    Raises:
        UsageError: a role names a column that does not exist.
        DataError: a column is not of the kind that the user gives it.
    """
    resolved = roles.resolve(list(table.columns), target_required=bool(roles.target))
    return _describe(_infer_columns(table.columns, resolved))


def build_dataset(name: str, table: Table, roles: Roles, test: Table | None = None) -> Dataset:
    """Return the data set of a table, with a second table as its test part if one is given.

    Kinds and categories are inferred from the first table alone. The second one is read like any table in prediction,
    so nothing of it leaks into training.

    Args:
        name: name of the data set.
        table: the columns; removed while they are read, so that their memory is freed.
        roles: the user's choices.
        test: a table of the same columns. With the target it is the official test part; without it, it is only
            checked whether the model can read it.

    Raises:
        UsageError: a role names a column that does not exist, or no target is obvious.
        DataError: no column is left to learn from, or the target cannot be learned.
    """
    roles = roles.resolve(list(table.columns), None if test is None else list(test.columns))
    has_test_part = test is not None and all(name in test.columns for name in roles.target)
    raws, n = dict(table.columns), table.row_count
    tables = [raws, test.columns] if test is not None and has_test_part else [raws]
    target, usable, time, findings = _read_targets(tables, roles)
    row_names, group = _read_row_names(tables, roles, usable), _read_groups(tables, roles, usable)
    if not usable[:n].all():
        train_rows = np.flatnonzero(usable[:n])
        raws = {column: raw.take(train_rows).normalize() for column, raw in raws.items()}
    inferred = _infer_columns(raws, roles)
    columns = tuple(feature for column in inferred for feature in column.features)
    if not columns:
        reasons = "; ".join(f"{column.name} ({column.becomes})" for column in inferred[:10])
        raise DataError(
            f"{name} has no column left to predict {', '.join(roles.target)} from: {reasons}", "check kinds="
        )
    table.columns.clear()
    tables[0] = {}
    x, _ = encode_columns(raws, columns, name)
    part = None
    if test is not None:
        x_test, test_findings = _encode_test(test, columns, f"{name} (test table)")
        findings += test_findings
        if has_test_part:
            x = np.concatenate([x, x_test[usable[n:]]])
            counts = [int(usable[:n].sum()), int(usable[n:].sum())]
            part = np.repeat(np.array([TRAIN_PART, TEST_PART], np.int8), counts)
    outputs = target.y.shape[1] if target.task == "regression" else 0
    findings += [finding for column in inferred for finding in column.findings]
    return Dataset(
        name,
        Spec(target.task, (len(columns),), target.classes, columns, ", ".join(roles.target), outputs=outputs),
        x,
        target.y,
        part,
        rows=row_names,
        group=group,
        time=time,
        findings=(*table.findings, *findings, _summarize(inferred)),
    )


def _infer_columns(raws: dict[str, RawColumn], roles: Roles) -> list[InferredColumn]:
    """Return the kind of each column and the features that are made of it."""
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
    """Return the time column without the features that only grow, since the test part is in the future."""
    features = tuple(f for f in column.features if f.date_part and f.date_part not in dates.TREND_PARTS)
    if dropped or not features:
        return replace(column, becomes="the order of time", features=())
    parts = ", ".join(feature.date_part for feature in features)
    return replace(column, becomes=f"the order of time; numbers: {parts}", features=features)


def _read_targets(
    tables: list[dict[str, RawColumn]], roles: Roles
) -> tuple[Target, np.ndarray, np.ndarray | None, list[Finding]]:
    """Return the targets, the mask of rows that have one (and a time), their times, and findings on the other rows."""
    targets = [_concatenate(tables, name) for name in roles.target]
    time = _parse_times(_concatenate(tables, roles.time), roles.kinds.get(roles.time, "")) if roles.time else None
    usable = ~np.any([raw.missing for raw in targets], axis=0)
    findings = _report_missing("target", ", ".join(roles.target), usable)
    if time is not None:
        findings += _report_missing("time", roles.time, ~np.isnan(time))
        usable = usable & ~np.isnan(time)
        if not usable.any():
            raise DataError(f"no row has both its target and its time ({roles.time})", "check target= and time=")
    if usable.all():
        return read_target(targets, roles.task), usable, time, findings
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise DataError(f"the target {', '.join(roles.target)} is missing in every row", "name another target=")
    target = read_target([raw.take(rows).normalize() for raw in targets], roles.task)
    return target, usable, None if time is None else time[rows], findings


def _report_missing(role: str, name: str, present: np.ndarray) -> list[Finding]:
    count = int((~present).sum())
    if not count:
        return []
    first = int(present.argmin()) + 1
    return [
        Finding(
            f"missing {role}",
            "warning",
            {"column": name, "rows": count, "first": first},
            f"{count:,} of {len(present):,} rows have no {role} ({name}): they are left out",
            f"fill it in where it is known (the first is row {first})",
        )
    ]


def _concatenate(tables: list[dict[str, RawColumn]], name: str) -> RawColumn:
    """Return a column over all tables."""
    for raws in tables[1:]:
        if name not in raws:
            raise DataError(f"the test table lacks the column {name}", "give it the same columns")
    return concatenate_columns([raws[name] for raws in tables])


def _parse_times(raw: RawColumn, requested_kind: str) -> np.ndarray:
    """Return the time of each row, float64 ``(N,)``: days for dates, else the numbers themselves; NaN where missing."""
    column = infer_column(raw, requested_kind, is_only_column=True)
    if column.kind == "date" or (column.kind == "constant" and raw.numbers is None):
        date_format = column.features[0].format if column.features else dates.infer_date_format(raw.categories)
        if date_format is not None:
            return parse_date_column(raw.as_text(), date_format)
    if raw.numbers is None or not (np.abs(raw.numbers[~raw.missing].astype(np.float64)) < np.inf).all():
        raise DataError(
            f"time={raw.name} must hold dates or finite numbers, it is {column.kind}: {column.values}",
            f"give the format of the dates, as in kinds={raw.name}:date:%d/%m/%Y",
        )
    return raw.numbers.astype(np.float64)


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
    """Return the number of each row's group, int64 ``(N,)``; rows without a group get one each."""
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
            f"{source_name}: {values.column} {values.problem} "
            f"({values.row_count} rows, the first is row {values.first_row + 1})",
            "check the test table; the model takes such a value as unknown",
        )
        for values in unusable
    ]


def _summarize(columns: list[InferredColumn]) -> Finding:
    """Return a note with all columns as evidence, and the columns that are left out as text."""
    left_out = [column for column in columns if not column.features and column.becomes.startswith(_LEFT_OUT)]
    listed = ", ".join(f"{column.name} ({column.kind})" for column in left_out[:8]) + ", ..." * (len(left_out) > 8)
    used = [column for column in columns if column.features]
    suffix = f"; left out: {listed}" if left_out else ""
    return Finding(
        "columns",
        "note",
        {"columns": _describe(columns)},
        f"{len(used)} column{'s' * (len(used) != 1)} to learn from{suffix}",
        f"to change a column's kind, use kinds=NAME:KIND, for example kinds={(left_out + used)[0].name}:category",
    )


def _describe(columns: list[InferredColumn]) -> list[dict[str, Any]]:
    return [
        {
            "column": column.name,
            "kind": column.kind,
            "missing": column.missing,
            "values": column.values,
            "becomes": column.becomes,
        }
        for column in columns
    ]
