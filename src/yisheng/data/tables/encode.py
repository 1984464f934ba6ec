"""From columns as they were read to the block that a network's transform takes; the same in training and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Column
from yisheng.data.tables import dates
from yisheng.data.tables.column_kinds import LARGEST, days_of
from yisheng.data.tables.literals import is_code, is_number, number_reader
from yisheng.data.tables.raw_column import Raw


class Odd(NamedTuple):
    """Values that could not be taken as they are, for a note: which column, how many rows, the first, and what."""

    column: str
    rows: int
    first: int
    what: str


def encode(raws: dict[str, Raw], columns: Sequence[Column], where: str, first: int = 0) -> tuple[np.ndarray, list[Odd]]:
    """Values of the features.

    Numbers stand as they are, a category as the number of its level (-1 for one that is not among them), yes/no as 1
    and 0; NaN is a missing value.

    Args:
        raws: the columns by name; emptied on the way, so that memory is freed as it is taken.
        columns: the features.
        where: what to call the source in an error.
        first: rows of the source before these.

    Returns:
        float32 ``(N, D)``, and what could not be taken as it is.

    Raises:
        DataError: a column is missing, or a value is no number or date where one is wanted.
    """
    wanted = dict.fromkeys(column.source for column in columns)
    lacking = [name for name in wanted if name not in raws]
    if lacking:
        shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        raise DataError(
            f"{where} lacks the column{'s' * (len(lacking) > 1)} {shown} that the model was trained on",
            "name the columns as in training; values that are not known may be empty",
        )
    rows = len(raws[next(iter(wanted))]) if wanted else 0
    block, odd = np.empty((rows, len(columns)), np.float32), list[Odd]()
    for name in wanted:
        raw = raws.pop(name)
        mine = [(place, column) for place, column in enumerate(columns) if column.source == name]
        days = _days(raw, mine[0][1], where, first) if mine[0][1].part else None
        for place, column in mine:
            values = _values(raw, column, where, odd, first) if days is None else dates.part(days, column.part)
            large = np.abs(values) > LARGEST
            if large.any():
                odd.append(Odd(name, int(large.sum()), first + int(large.argmax()), "infinite or too large: missing"))
                values = np.where(large, np.nan, values)
            block[:, place] = values
    return block, odd


def _values(raw: Raw, column: Column, where: str, odd: list[Odd], first: int) -> np.ndarray:
    """One feature, float64 ``(N,)``."""
    if column.kind == "number":
        return raw.numbers.astype(np.float64) if raw.numbers is not None else _numbers(raw.tidy(), column, where, first)
    return _levels(raw.texts().tidy(), column, odd, first)


def _days(raw: Raw, column: Column, where: str, first: int) -> np.ndarray:
    """Days since 1970-01-01, float64 ``(N,)``."""
    texts = raw.texts().tidy()
    days = days_of(texts, column.form)
    bad = np.isnan(days) & ~texts.missing
    if bad.any():
        _refuse(texts, int(bad.argmax()), where, first, f"is not a date like {column.form}")
    return days


def _numbers(raw: Raw, column: Column, where: str, first: int) -> np.ndarray:
    table, read = np.full(len(raw.levels) + 1, np.nan), number_reader(column.form)
    for number, level in enumerate(raw.levels):
        try:
            table[number] = read(level)
        except ValueError:
            if level not in column.unknown:
                _refuse(raw, int(np.argmax(raw.codes == number)), where, first, "is not a number")
    values: np.ndarray = table[raw.codes]
    return values


def _levels(raw: Raw, column: Column, odd: list[Odd], before: int) -> np.ndarray:
    """Number of the level; what is written in another way (YES, 1.0) is found, too."""
    place = {level: number for number, level in enumerate(column.levels)}
    alike = {_alike(level, column.kind): number for level, number in place.items()}
    codes = [place.get(level, alike.get(_alike(level, column.kind), -1)) for level in raw.levels]
    unseen = [number for number, code in enumerate(codes) if code < 0]
    if unseen:
        assert raw.codes is not None
        rows = np.isin(raw.codes, unseen)
        first = int(rows.argmax())
        what = f"{raw.levels[raw.codes[first]][:40]!r} was never seen in training"
        odd.append(Odd(raw.name, int(rows.sum()), before + first, what))
    never = np.nan if column.kind == "yes/no" else -1
    table = np.array([*(code if code >= 0 else never for code in codes), np.nan])
    values: np.ndarray = table[raw.codes]
    return values


def _alike(level: str, kind: str) -> str:
    """What two ways of writing the same level have in common: 1 and 1.0, 0 and -0, and yes and YES."""
    if is_number(level) and not is_code(level):
        return repr(float(level) + 0.0)  # no zero below zero
    return level.casefold() if kind == "yes/no" else level


def _refuse(raw: Raw, row: int, where: str, first: int, what: str) -> None:
    assert raw.codes is not None
    raise DataError(
        f"{where}: row {first + row + 1}, {raw.name}: {raw.levels[raw.codes[row]][:40]!r} {what}",
        "mend it, or leave the cell empty where the value is not known",
    )
