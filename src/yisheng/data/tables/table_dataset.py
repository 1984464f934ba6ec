"""From columns as they were read to a data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Column, Dataset, Finding, Spec
from yisheng.data.tables import dates
from yisheng.data.tables.column_kinds import Found, days_of, find
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.delimited import Table
from yisheng.data.tables.encode import encode
from yisheng.data.tables.raw_column import Raw, joined
from yisheng.data.tables.targets import Target, read_target


def describe(table: Table, roles: Roles) -> list[dict[str, Any]]:
    """A row for each column of a table: its kind, how many values are missing, what they are, what becomes of it.

    No target need be named. Keys: ``column``, ``kind``, ``missing``, ``values``, ``becomes``.

    Raises:
        UsageError: a role names a column that does not exist.
        DataError: a column is not of the kind that the user says.
    """
    return _rows(_plan(table.columns, roles.settled(list(table.columns), target=bool(roles.target))))


def dataset(name: str, table: Table, roles: Roles, test: Table | None = None) -> Dataset:
    """A data set from a table, and perhaps from a second one for testing.

    What columns mean, and the levels of categories, is found in the first table alone: the second one is read as any
    table is in prediction, so that nothing of it is known in training.

    Args:
        name: of the data set.
        table: the columns; freed on the way.
        roles: what the user says of them.
        test: a table of the same columns. With the target it is the official test part; without it there is
            nothing to test with, and it is only looked at whether it can be answered.

    Raises:
        UsageError: a role names a column that does not exist, or no target is obvious.
        DataError: no column is left to learn from, or the target cannot be learned.
    """
    roles = roles.settled(list(table.columns), None if test is None else list(test.columns))
    tested = test is not None and all(name in test.columns for name in roles.target)
    raws, n = dict(table.columns), table.rows
    every = [raws, test.columns] if test is not None and tested else [raws]
    target, kept, time, findings = _known(every, roles)
    names, group = _names(every, roles, kept), _groups(every, roles, kept)
    if not kept[:n].all():
        train = np.flatnonzero(kept[:n])
        raws = {name: raw.take(train).tidy() for name, raw in raws.items()}
    plan = _plan(raws, roles)
    columns = tuple(column for found in plan for column in found.columns)
    if not columns:
        why = "; ".join(f"{found.name} ({found.becomes})" for found in plan[:10])
        raise DataError(f"{name} has no column left to predict {', '.join(roles.target)} from: {why}", "check kinds=")
    table.columns.clear()
    every[0] = {}
    x, _ = encode(raws, columns, name)
    part = None
    if test is not None:
        x_test, noticed = _encoded_test(test, columns, f"{name} (test table)")
        findings += noticed
        if tested:
            x = np.concatenate([x, x_test[kept[n:]]])
            part = np.repeat(np.array([0, 2], np.int8), [int(kept[:n].sum()), int(kept[n:].sum())])
    outputs = target.y.shape[1] if target.task == "regression" else 0
    return Dataset(
        name,
        Spec(target.task, (len(columns),), target.classes, columns, ", ".join(roles.target), outputs=outputs),
        x,
        target.y,
        part,
        rows=names,
        group=group,
        time=time,
        findings=(*table.findings, *findings, *(one for found in plan for one in found.findings), _summary(plan)),
    )


def _plan(raws: dict[str, Raw], roles: Roles) -> list[Found]:
    """What each column is and becomes."""
    plan = []
    features = [name for name in raws if not roles.of(name)]
    for name, raw in raws.items():
        role = roles.of(name)
        if role:
            kind = find(raw, only=True) if name not in roles.drop else Found(name, "", int(raw.missing.sum()), "", "")
            plan.append(replace(kind, becomes=role, columns=(), findings=()))
            continue
        found = find(raw, roles.kinds.get(name, ""), only=len(features) == 1 or name == roles.time)
        plan.append(_in_time(found, dropped=name in roles.drop) if name == roles.time else found)
    return plan


def _in_time(found: Found, *, dropped: bool) -> Found:
    """The column of time: what only grows is no feature, since the test part lies in the future."""
    kept = tuple(column for column in found.columns if column.part and column.part not in dates.TREND)
    if dropped or not kept:
        return replace(found, becomes="the order of time", columns=())
    return replace(found, becomes=f"the order of time; numbers: {', '.join(c.part for c in kept)}", columns=kept)


def _known(every: list[dict[str, Raw]], roles: Roles) -> tuple[Target, np.ndarray, np.ndarray | None, list[Finding]]:
    """Targets, which rows have one (and a time), their times, and a finding on those left out."""
    targets = [_over(every, name) for name in roles.target]
    time = _times(_over(every, roles.time), roles.kinds.get(roles.time, "")) if roles.time else None
    kept = ~np.any([raw.missing for raw in targets], axis=0)
    findings = _left_out("target", ", ".join(roles.target), kept)
    if time is not None:
        findings += _left_out("time", roles.time, ~np.isnan(time))
        kept = kept & ~np.isnan(time)
        if not kept.any():
            raise DataError(f"no row has both its target and its time ({roles.time})", "check target= and time=")
    if kept.all():
        return read_target(targets, roles.task), kept, time, findings
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise DataError(f"the target {', '.join(roles.target)} is missing in every row", "name another target=")
    target = read_target([raw.take(rows).tidy() for raw in targets], roles.task)
    return target, kept, None if time is None else time[rows], findings


def _left_out(what: str, name: str, known: np.ndarray) -> list[Finding]:
    lacking = int((~known).sum())
    if not lacking:
        return []
    return [
        Finding(
            f"missing {what}",
            "warning",
            {"column": name, "rows": lacking, "first": int(known.argmin()) + 1},
            f"{lacking:,} of {len(known):,} rows have no {what} ({name}): they are left out",
            f"fill it in where it is known (the first is row {int(known.argmin()) + 1})",
        )
    ]


def _over(every: list[dict[str, Raw]], name: str) -> Raw:
    """A column over all tables."""
    for raws in every[1:]:
        if name not in raws:
            raise DataError(f"the test table lacks the column {name}", "give it the same columns")
    return joined([raws[name] for raws in every])


def _times(raw: Raw, wanted: str) -> np.ndarray:
    """When each row was, float64 ``(N,)``: days for dates, else the numbers themselves; NaN where missing."""
    found = find(raw, wanted, only=True)
    if found.kind == "date" or (found.kind == "constant" and raw.numbers is None):
        form = found.columns[0].form if found.columns else dates.date_form(raw.levels)
        if form is not None:
            return days_of(raw.texts(), form)
    if raw.numbers is None or not (np.abs(raw.numbers[~raw.missing].astype(np.float64)) < np.inf).all():
        raise DataError(
            f"time={raw.name} must hold dates or finite numbers, it is {found.kind}: {found.values}",
            f"say how dates are written, as in kinds={raw.name}:date:%d/%m/%Y",
        )
    return raw.numbers.astype(np.float64)


def _names(every: list[dict[str, Raw]], roles: Roles, kept: np.ndarray) -> tuple[str, ...] | None:
    if not roles.id:
        return None
    names: list[str] = []
    for raws in every:
        if roles.id in raws:
            texts = raws[roles.id].texts()
            names += [texts.levels[code] if code >= 0 else "" for code in (() if texts.codes is None else texts.codes)]
        else:
            names += [str(row + 1) for row in range(len(next(iter(raws.values()))))]
    return tuple(name for name, is_kept in zip(names, kept, strict=True) if is_kept)


def _groups(every: list[dict[str, Raw]], roles: Roles, kept: np.ndarray) -> np.ndarray | None:
    """Number of each row's group, int64 ``(N,)``; a row without one is a group of its own."""
    if not roles.group:
        return None
    texts = _over(every, roles.group).texts()
    assert texts.codes is not None
    codes = texts.codes.astype(np.int64)
    alone = codes < 0
    codes[alone] = len(texts.levels) + np.arange(int(alone.sum()))
    return codes[kept]


def _encoded_test(test: Table, columns: tuple[Column, ...], where: str) -> tuple[np.ndarray, list[Finding]]:
    x, odd = encode(dict(test.columns), columns, where)
    return x, [
        Finding(
            "test table",
            "warning",
            {"column": one.column, "rows": one.rows, "first": one.first + 1},
            f"{where}: {one.column} {one.what} ({one.rows} rows, the first is row {one.first + 1})",
            "check the test table; the model takes such a value as unknown",
        )
        for one in odd
    ]


def _summary(plan: list[Found]) -> Finding:
    """The whole table as evidence, for whoever shows it; what is left out as text."""
    gone = [found for found in plan if not found.columns and found.becomes.startswith("left out: ")]
    shown = ", ".join(f"{found.name} ({found.kind})" for found in gone[:8]) + ", ..." * (len(gone) > 8)
    used = [found for found in plan if found.columns]
    tail = f"; left out: {shown}" if gone else ""
    remedy = f"kinds={(gone + used)[0].name}:category, say, reads it otherwise"
    return Finding(
        "columns",
        "note",
        {"columns": _rows(plan)},
        f"{len(used)} column{'s' * (len(used) != 1)} to learn from{tail}",
        remedy,
    )


def _rows(plan: list[Found]) -> list[dict[str, Any]]:
    return [
        {"column": f.name, "kind": f.kind, "missing": f.missing, "values": f.values, "becomes": f.becomes} for f in plan
    ]
