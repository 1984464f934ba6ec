"""What was read against the known values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.round_trips.columns import TrueColumn
from benchmarks.round_trips.ways import Reading

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.data.tables.literals import is_code, is_number
from yisheng.data.tables.unicode_forms import normalize_text

KINDS = {
    "number": {"number"},
    "date": {"date"},
    "category": {"category", "yes/no"},
    "yes/no": {"yes/no"},
    "code": {"category", "yes/no"},
}
"""Kinds of features as which a column may be read."""
MAY_BE_LEFT_OUT = {"code": {"identifier", "text", "constant"}}
"""Kinds of a table's columns without features that are right."""


@dataclass(frozen=True)
class Difference:
    """A difference between what was read and what is true.

    Args:
        column: its name; empty for the table.
        flavor: kind and flavor of the column.
        problem: what differs.
        is_warned: whether a warning names the column, or concerns the file.
    """

    column: str
    flavor: str
    problem: str
    is_warned: bool


def compare_training(columns: Sequence[TrueColumn], rows: range, dataset: Dataset) -> Iterator[Difference]:
    """Yield the differences between the data of a training table and the truth.

    Args:
        columns: the columns, the target last.
        rows: the rows of the training table.
        dataset: what was read of it.
    """
    *inputs, target = columns
    warnings = [finding for finding in dataset.findings if finding.severity != "note"]
    kinds = next(finding.evidence["columns"] for finding in dataset.findings if finding.check == "columns")
    kind_of = {item["column"]: item["kind"] for item in kinds}
    if len(dataset.x) != len(rows):
        yield Difference("", "", f"{len(dataset.x)} rows instead of {len(rows)}", bool(warnings))
        return
    for column in inputs:
        is_warned = any(
            normalize_text(column.name) in (normalize_text(finding.cause), *map(str, finding.evidence.values()))
            or normalize_text(column.name) in normalize_text(finding.cause)
            or finding.check == "encoding"
            for finding in warnings
        )
        features = find_features(column, dataset.spec)
        if normalize_text(column.name) not in kind_of:
            yield Difference(column.name, describe(column), "the column has another name", is_warned)
        elif not features:
            kind = kind_of[normalize_text(column.name)]
            if kind not in MAY_BE_LEFT_OUT.get(column.kind, ()) and not _is_constant(column, rows):
                yield Difference(column.name, describe(column), f"left out as {kind}", is_warned)
        else:
            problem = _compare_kind(column, [feature for _, feature in features], rows)
            problem = problem or _compare_values(column, features, rows, dataset.x)
            if problem:
                yield Difference(column.name, describe(column), problem, is_warned)
    problem = _compare_target(target, rows, dataset)
    if problem:
        yield Difference(target.name, "target, " + describe(target), problem, bool(warnings))


def describe(column: TrueColumn) -> str:
    """Return kind and flavor of a column."""
    return f"{column.kind}: {column.flavor!r}"


def find_features(column: TrueColumn, spec: Spec) -> list[tuple[int, Column]]:
    """Return the features of a column with their positions."""
    name = normalize_text(column.name)
    return [(position, feature) for position, feature in enumerate(spec.columns) if feature.source == name]


def _is_constant(column: TrueColumn, rows: range) -> bool:
    return len({column.values[row] for row in rows} - {None}) < 2


def _compare_kind(column: TrueColumn, features: Sequence[Column], rows: range) -> str:
    kinds = {"date" if feature.date_part else feature.kind for feature in features}
    if column.kind == "code" and not any(map(is_code, (column.texts[row] for row in rows))):
        kinds -= {"number"} if column.flavor in ("zip", "telephone") else set()  # nothing shows that they are codes
    if kinds <= KINDS[column.kind] or _is_constant(column, rows):
        return ""
    return f"read as {', '.join(sorted(kinds))}"


def _compare_values(
    column: TrueColumn, features: Sequence[tuple[int, Column]], rows: Sequence[int], x: np.ndarray
) -> str:
    for position, feature in features:
        expected = expect_values(column, feature, rows)
        if expected is None:
            continue
        is_equal = are_equal(x[:, position], expected)
        if not is_equal.all():
            row = int(np.argmin(is_equal))
            text = column.texts[list(rows)[row]]
            return f"{text!r} is {x[row, position]!r} instead of {expected[row]!r}"
    return ""


def are_equal(x: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the mask of equal values, to the precision of ``x``."""
    if x.dtype == np.float32:
        with np.errstate(over="ignore"):
            expected = expected.astype(np.float32)
    return np.isclose(x, expected, rtol=1e-6 if x.dtype == np.float32 else 1e-12, atol=0, equal_nan=True)


def expect_values(column: TrueColumn, feature: Column, rows: Sequence[int]) -> np.ndarray | None:
    """Return the true values of a feature, float64 ``(N,)``, NaN where missing; None for what cannot be compared."""
    values = [column.values[row] for row in rows]
    if feature.date_part:
        return np.array([np.nan if value is None else _date_part(value, feature.date_part) for value in values])
    if column.kind == "number" and feature.kind == "number":
        return np.array([np.nan if value is None else float(value) for value in values])
    if column.kind == "yes/no" and feature.kind == "yes/no":
        return np.array([np.nan if value is None else float(value) for value in values])
    if column.kind in ("category", "code") and feature.kind != "number":
        number_of = {normalize_text(category): number for number, category in enumerate(feature.categories)}
        unseen = np.nan if feature.kind == "yes/no" else -1
        return np.array(
            [np.nan if value is None else number_of.get(normalize_text(value), unseen) for value in values], float
        )
    return None


def _date_part(value: object, part: str) -> float:
    import datetime

    assert isinstance(value, datetime.datetime)
    midnight = value.replace(hour=0, minute=0, second=0, microsecond=0)
    if part == "weekday":
        return value.weekday()
    if part == "day-of-year":
        return value.timetuple().tm_yday
    if part == "days":
        return (value - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)
    if part == "hour":
        return (value - midnight).seconds / 3600
    return float(getattr(value, part))


def _compare_target(target: TrueColumn, rows: range, dataset: Dataset) -> str:
    values = [target.values[row] for row in rows]
    if target.kind == "number":
        if dataset.spec.task == "classification":
            if not all(map(is_number, dataset.spec.classes)):
                return "classes of words"
            read = [float(dataset.spec.classes[number]) for number in dataset.y]
        else:
            read = dataset.y[:, 0].tolist()
        is_equal = np.isclose(read, np.array(values, float), rtol=1e-6, atol=0)
        if is_equal.all():
            return ""
        row = int(np.argmin(is_equal))
        return f"{target.texts[rows[row]]!r} is {read[row]!r}"
    classes = [normalize_text(dataset.spec.classes[number]) for number in dataset.y] if dataset.spec.classes else []
    return "" if classes == list(map(normalize_text, values)) else "other classes"


def compare_reading(
    columns: Sequence[TrueColumn], reading: Reading, spec: Spec, wrong: set[str]
) -> Iterator[Difference]:
    """Yield the differences between what a way read and the truth.

    Args:
        columns: the columns without the target.
        reading: what it read.
        spec: the contract of the model.
        wrong: the columns that were already wrong in training.
    """
    if len(reading.x) != len(reading.rows):
        yield Difference("", "", f"{len(reading.x)} rows instead of {len(reading.rows)}", is_warned=False)
        return
    for column in columns:
        if column.name in wrong:
            continue
        problem = _compare_values(column, find_features(column, spec), reading.rows, reading.x)
        if problem:
            is_warned = any(normalize_text(column.name) in normalize_text(note) for note in reading.notes)
            yield Difference(column.name, describe(column), problem, is_warned)
