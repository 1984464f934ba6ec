"""What a table is to predict: classes, labels or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Task
from yisheng.data.tables import dates
from yisheng.data.tables.column_kinds import LARGEST
from yisheng.data.tables.literals import is_code, is_number, number_form, number_reader, yes_no
from yisheng.data.tables.natural_sort import sorted_for_people
from yisheng.data.tables.raw_column import Raw, written

CLASSES, ROWS_EACH = 20, 5
"""Whole numbers are classes where they have at most so many different values, each in so many rows on average."""
PAIRS = ({0, 1}, {1, 2}, {-1, 1})
"""Two whole numbers that are classes however few rows there are."""
MOST = 10_000
_MEND = "check target=, or leave out the rows that are wrong"


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Args:
        task: see `yisheng.core.types.Spec`.
        y: as in `yisheng.core.types.Dataset`, of the rows in ``known`` alone.
        classes: names of the classes or labels.
        known: rows whose target is known, bool ``(N,)``.
    """

    task: Task
    y: np.ndarray
    classes: tuple[str, ...]
    known: np.ndarray


def read_target(raws: Sequence[Raw], task: Task | None = None) -> Target:
    """The targets of a table.

    Texts are classes. Whole numbers are classes as scikit-learn's ``type_of_target`` has it, but only up to `CLASSES`
    different ones with `ROWS_EACH` rows each on average; other numbers are for regression. Several columns are
    labels if each is yes or no, else numbers for regression.

    Args:
        raws: the columns to predict.
        task: as the user names it, or None to find it out.

    Raises:
        DataError: a target is no number where one is wanted, infinite, or the same in every row; or no target is known.
        UsageError: the task does not fit several columns.
    """
    known = ~np.any([raw.missing for raw in raws], axis=0)
    names = ", ".join(raw.name for raw in raws)
    if not known.any():
        raise DataError(f"the target {names} is missing in every row", "name another column with target=")
    several = len(raws) > 1
    if task is None and several:
        task = "multilabel" if all(_pair(raw) for raw in raws) else "regression"
    if task == "classification" and several:
        raise UsageError(
            f"classification predicts one column, got {len(raws)}: {names}",
            "name one target, or say task=multilabel for several that are yes or no",
        )
    if task is None:
        task = "classification" if _are_classes(raws[0], int(known.sum())) else "regression"
    if task == "multilabel":
        return Target(task, np.stack([_labels(raw)[known] for raw in raws], axis=1), _different(raws), known)
    if task == "classification":
        return _classes(raws[0], known)
    values = np.stack([_numbers(raw)[known] for raw in raws], axis=1).astype(np.float32)
    for raw, column in zip(raws, values.T, strict=True):
        if column.min() == column.max():
            _same_everywhere(raw.name, written(float(column[0])))
    return Target(task, values, (), known)


def _are_classes(raw: Raw, rows: int) -> bool:
    if raw.numbers is None:
        if raw.free or number_form(raw.levels) is None or any(map(is_code, raw.levels)):
            return True
        raw = _as_numbers(raw)
    assert raw.numbers is not None
    values = np.unique(raw.numbers[~raw.missing])
    if not np.isfinite(values).all() or (values != np.floor(values)).any():
        return False
    return set(values.tolist()) in PAIRS or (len(values) <= CLASSES and rows >= ROWS_EACH * len(values))


def _classes(raw: Raw, known: np.ndarray) -> Target:
    if raw.numbers is not None:
        _numbers(raw)  # an infinite one is no class
    texts = raw.texts()
    rows = int(known.sum())
    if texts.free or len(texts.levels) > min(MOST, max(CLASSES, rows / 2)):
        odd = [level for level in texts.levels if not is_number(level)]
        if odd and len(odd) * 2 < len(texts.levels):
            _refuse(texts, texts.levels.index(odd[0]))
        many = f"{len(texts.levels):,} different values" if texts.levels else "very many different texts"
        raise DataError(
            f"the target {raw.name} has {many} in {rows:,} rows: too many for classes",
            "name another target=, or say task=regression if it is a number",
        )
    if raw.numbers is None and dates.date_form(texts.levels) is not None:
        raise DataError(
            f"the target {raw.name} holds dates, which are neither classes nor numbers",
            "name another target=, or make a number of days of it",
        )
    if len(texts.levels) == 1:
        _same_everywhere(raw.name, texts.levels[0])
    assert texts.codes is not None
    words = yes_no(texts.levels)
    names = words or (texts.levels if raw.ordered else tuple(sorted_for_people(texts.levels)))
    place = {name.casefold() if words else name: number for number, name in enumerate(names)}
    table = np.array([place[level.casefold() if words else level] for level in texts.levels], np.int64)
    return Target("classification", table[texts.codes[known]], tuple(names), known)


def _pair(raw: Raw) -> bool:
    levels = raw.texts().levels if not raw.free else ()
    return yes_no(levels) is not None or (len(levels) == 1 and levels[0] in ("0", "1"))


def _labels(raw: Raw) -> np.ndarray:
    """Zeros and ones, float32 ``(N,)``; a label that no row or every row has is let pass."""
    texts = raw.texts()
    words = yes_no(texts.levels) or (("0", "1") if _pair(raw) else None)
    if words is None:
        some = ", ".join(texts.levels[:5]) or "many texts"
        raise DataError(
            f"the label {raw.name} must be yes or no in every row, got {some}", "write 0 and 1; or name another target="
        )
    assert texts.codes is not None
    second = words[1].casefold()
    table = np.array([level.casefold() == second for level in texts.levels] + [False], np.float32)
    return table[texts.codes]


def _numbers(raw: Raw) -> np.ndarray:
    """Finite numbers, float64 ``(N,)``, NaN where missing."""
    if raw.free:
        raise DataError(f"the target {raw.name} is text, not numbers", "name another target=")
    values = (raw if raw.numbers is not None else _as_numbers(raw)).numbers
    assert values is not None
    values = values.astype(np.float64)
    large = np.abs(values) > LARGEST
    if large.any():
        row = int(large.argmax())
        raise DataError(f"the target {raw.name} is {values[row]:g} in row {row + 1}: not a finite number", _MEND)
    return values


def _as_numbers(raw: Raw) -> Raw:
    read = number_reader(number_form(raw.levels) or "")
    table = np.full(len(raw.levels) + 1, np.nan)
    for number, level in enumerate(raw.levels):
        try:
            table[number] = read(level)
        except ValueError:
            _refuse(raw, number)
    return Raw(raw.name, numbers=table[raw.codes])


def _refuse(raw: Raw, level: int) -> None:
    row = int(np.argmax(raw.codes == level)) + 1
    raise DataError(f"the target {raw.name} is {raw.levels[level][:40]!r} in row {row}: not a number", _MEND)


def _same_everywhere(name: str, value: str) -> None:
    raise DataError(
        f"the target {name} is {value[:40]} in every row: there is nothing to learn",
        "name another target=, or more rows",
    )


def _different(raws: Sequence[Raw]) -> tuple[str, ...]:
    return tuple(raw.name for raw in raws)
