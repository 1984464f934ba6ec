"""What the columns of a table mean: numbers, categories, dates, or nothing that a network could learn from."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.core.errors import DataError, UsageError, closest
from yisheng.core.types import Column, Finding
from yisheng.data.tables import dates
from yisheng.data.tables.literals import is_code, is_number, number_form, number_reader, yes_no
from yisheng.data.tables.natural_sort import sorted_for_people
from yisheng.data.tables.raw_column import Raw, written

LARGEST = float(np.finfo(np.float32).max)
FEW = 20
"""Up to so many different texts are a category, however few rows there are."""
LEVELS = 10_000
"""Most levels of a category that is found; one that the user names may have more."""
ODD, ODD_SHARE = 20, 0.05
"""A column of numbers may hold so many different words, in so large a part of its rows: they are taken as missing."""
WANTED = ("number", "category", "yes/no", "date", "text", "identifier", "constant")
_ID = re.compile(r"(id|index|key|uuid|guid|row ?names?|row|unnamed: \d+|.*[ _-]id|.*[a-z]I[dD])|.*_ID", re.DOTALL)
_ID_WORDS = ("id", "index", "key", "uuid", "guid")
_WHEN = re.compile(r"date|day|time|when", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """What a column of a table is, and what becomes of it.

    Args:
        name: of the column.
        kind: see `yisheng.core.types.Kind`; ``empty`` where it has no value at all.
        missing: rows without a value.
        values: its range or its levels, for people.
        becomes: what becomes of it, for people.
        columns: the features that are made of it; none for what is left out.
        findings: what is worth a warning.
    """

    name: str
    kind: str
    missing: int
    values: str
    becomes: str
    columns: tuple[Column, ...] = ()
    findings: tuple[Finding, ...] = ()


def find(raw: Raw, wanted: str = "", *, only: bool = False) -> Found:
    """Find out what a column is.

    Args:
        raw: the column, tidy.
        wanted: what the user says that it is (``category``, ``date:%d/%m/%Y``); nothing to find it out.
        only: there is no other column: it is not left out as a row number then.

    Raises:
        UsageError: there is no such kind.
        DataError: the column is not of the kind that the user says.
    """
    if wanted and wanted.partition(":")[0] not in WANTED:
        raise UsageError(f"{wanted!r} is no kind of a column (kinds={raw.name}:{wanted})", closest(wanted, WANTED))
    if raw.missing.all():
        return _left_out(raw, "empty", "", "no value in any row")
    if wanted:
        return _as_wanted(raw, wanted)
    if raw.free:
        return _left_out(raw, "text", "very many different texts", "a text of its own in most rows")
    return _find_numbers(raw, only) if raw.numbers is not None else _find_texts(raw)


def _find_numbers(raw: Raw, only: bool) -> Found:
    assert raw.numbers is not None
    values = raw.numbers[~raw.missing]
    low, high = values.min(), values.max()
    if low == high:
        return _one_value(raw.texts())
    whole = raw.numbers.dtype.kind in "iu"
    if whole or bool((values == np.floor(values)).all()):
        if low == 0 and high == 1:
            return _yes_no(raw, ("0", "1"))
        if names_rows(raw.name) and not raw.missing.any() and len(np.unique(values)) == len(values):
            return _identifier(raw, "a different number in every row", "number")
        if not only and whole and len(values) > FEW and low in (0, 1) and bool((np.diff(values) == 1).all()):
            return _identifier(raw, "it counts the rows", "number")
        if _WHEN.search(raw.name) and low >= 1_000_01_01 and high <= 9999_12_31:
            texts = raw.texts()
            if not np.isnan(dates.days_of(texts.levels, dates.DIGITS)).any():
                return _date(texts, dates.DIGITS)
    return _number(raw)


def _find_texts(raw: Raw) -> Found:
    levels, present = raw.levels, int((~raw.missing).sum())
    if len(levels) == 1:
        return _one_value(raw)
    pair = yes_no(levels)
    if pair:
        return _yes_no(raw, pair)
    codes = any(map(is_code, levels))
    form = None if codes else number_form(levels)
    if form is not None:
        return _number(_numbers(raw, form), form)
    if not codes:
        odd = list(itertools.islice((n for n, level in enumerate(levels) if not is_number(level)), ODD + 1))
        assert raw.codes is not None
        if len(levels) - len(odd) > FEW and len(odd) <= ODD and np.isin(raw.codes, odd).sum() <= ODD_SHARE * present:
            words = tuple(levels[n] for n in odd)
            return _number(_numbers(raw, "", words), "", words)
    date = dates.date_form(levels)
    if date is not None:
        return _date(raw, date)
    if len(levels) == 2:
        return _yes_no(raw, _sorted(raw))
    return _category_or_text(raw, present)


def _category_or_text(raw: Raw, present: int) -> Found:
    """Levels that come again can be learned; a text of its own in most rows cannot."""
    levels, alone = raw.levels, len(raw.levels) == present
    if (alone and present >= 5) or len(levels) > max(FEW, len(raw) / 2) or len(levels) > LEVELS:
        sentences = sum(len(level) > 40 or len(level.split()) > 2 for level in levels) > len(levels) / 4
        some = f"{len(levels):,} different: {_listed(levels[:3])}"
        if alone and not sentences:
            return _left_out(raw, "identifier", some, "a different text in every row", "category")
        why = f"{len(levels):,} different texts in {present:,} rows"
        return _left_out(raw, "text", some, why, "category")
    return _category(raw)


def _as_wanted(raw: Raw, wanted: str) -> Found:
    kind, _, form = wanted.partition(":")
    if form and kind != "date":
        raise UsageError(
            f"{wanted!r} is no kind of a column (kinds={raw.name}:{wanted})", f"say {kind}, or date:{form}"
        )
    if kind in ("text", "identifier", "constant"):
        return _left_out(raw, kind, "", "as you say")
    if raw.free:
        raise DataError(f"column {raw.name} has too many different texts to be of kind {kind}", "leave it out")
    if kind == "category":
        return _category(raw.texts())
    if kind == "number":
        if raw.numbers is not None:
            return _number(raw)
        reads = number_form(raw.levels) or ""
        return _number(_numbers(raw, reads), reads)
    texts = raw.texts()
    if kind == "date":
        return _date(texts, form or dates.date_form(texts.levels) or "%Y-%m-%d")
    if len(texts.levels) > 2:
        some = _listed(texts.levels[:5])
        raise DataError(
            f"column {raw.name} is to be yes/no, it has {len(texts.levels)} different values: {some}",
            f"say kinds={raw.name}:category",
        )
    return _yes_no(texts, yes_no(texts.levels) or (*_sorted(texts), "(other)")[:2])


def _number(raw: Raw, form: str = "", odd: Sequence[str] = ()) -> Found:
    assert raw.numbers is not None
    there = raw.numbers[~raw.missing].astype(np.float64)
    fit = there[np.abs(there) <= LARGEST]
    findings = []
    if len(fit) < len(there):
        row, lost = int(np.flatnonzero(~raw.missing)[np.abs(there) > LARGEST][0]) + 1, len(there) - len(fit)
        findings.append(
            Finding(
                "infinite values",
                "warning",
                {"column": raw.name, "values": lost, "row": row},
                f"column {raw.name} holds {lost} infinite or too large values (the first in row {row})",
                "they count as missing; mend what wrote them, a division by zero perhaps",
            )
        )
    if odd:
        findings.append(
            Finding(
                "odd words",
                "warning",
                {"column": raw.name, "words": list(odd)},
                f"column {raw.name} holds words among its numbers: {_listed(odd)}",
                f"they count as missing; mend them, or say kinds={raw.name}:category",
            )
        )
    if len(fit) and np.abs(fit).max() > 1e6 and np.spacing(np.float32(np.abs(fit).max())) > 0.01 * fit.std() > 0:
        findings.append(
            Finding(
                "precision",
                "warning",
                {"column": raw.name, "largest": float(np.abs(fit).max()), "spread": float(fit.std())},
                f"column {raw.name}: its values differ too little for their size; in single precision most are equal",
                "subtract a constant from it, or give a date as a date",
            )
        )
    seen = f"{_short(fit.min())} to {_short(fit.max())}" if len(fit) else ""
    column = Column(raw.name, "number", source=raw.name, form=form, unknown=tuple(odd))
    return Found(raw.name, "number", int(raw.missing.sum()), seen, "a number", (column,), tuple(findings))


def _numbers(raw: Raw, form: str, odd: Sequence[str] = ()) -> Raw:
    """Texts as numbers.

    Raises:
        DataError: one is no number; the error names the row.
    """
    table, read = np.full(len(raw.levels) + 1, np.nan), number_reader(form)
    for number, level in enumerate(raw.levels):
        if level in odd:
            continue
        try:
            table[number] = read(level)
        except ValueError:
            row = int(np.argmax(raw.codes == number)) + 1
            raise DataError(
                f"column {raw.name}: {level!r} in row {row} is not a number", "mend it, or leave the cell empty"
            ) from None
    return Raw(raw.name, numbers=table[raw.codes])


def _date(raw: Raw, form: str) -> Found:
    try:
        days = days_of(raw, form)
    except ValueError as error:
        raise UsageError(str(error), "write it with %Y, %m, %d, %b or %y, as in date:%d/%m/%Y") from None
    bad = np.isnan(days) & ~raw.missing
    if bad.any():
        assert raw.codes is not None
        row = int(bad.argmax())
        raise DataError(
            f"column {raw.name}: {raw.levels[raw.codes[row]]!r} in row {row + 1} is not a date like {form}",
            f"mend it, or say how dates are written, as in kinds={raw.name}:date:%d/%m/%Y",
        )
    there = days[~np.isnan(days)]
    kept = [part for part in dates.PARTS if len(there) and (values := dates.part(there, part)).min() < values.max()]
    columns = tuple(Column(f"{raw.name}.{part}", "number", source=raw.name, part=part, form=form) for part in kept)
    findings = []
    if dates.ambiguous(form, raw.levels):
        findings.append(
            Finding(
                "ambiguous dates",
                "warning",
                {"column": raw.name, "form": form},
                f"column {raw.name}: month and day could be changed over; it was read as {form}",
                f"say kinds={raw.name}:date:{dates.TWINS[form]} if the day comes first",
            )
        )
    first, last = (np.datetime64(int(np.floor(day)), "D") for day in (there.min(), there.max()))
    becomes = f"numbers: {', '.join(kept)}" if kept else "left out: one date only"
    missing = int(raw.missing.sum())
    return Found(raw.name, "date", missing, f"{first} to {last}", becomes, columns, tuple(findings))


def days_of(raw: Raw, form: str) -> np.ndarray:
    """Days since 1970-01-01 of a column of dates, float64 ``(N,)``, NaN where missing or no date."""
    assert raw.codes is not None
    days: np.ndarray = np.append(dates.days_of(raw.levels, form), np.nan)[raw.codes]
    return days


def _category(raw: Raw) -> Found:
    levels = raw.levels if raw.ordered else _sorted(raw)
    column = Column(raw.name, "category", tuple(levels), source=raw.name)
    seen = f"{len(levels):,} levels: {_listed(levels[:6])}" if len(levels) > 1 else f"{_listed(levels)} or missing"
    return Found(raw.name, "category", int(raw.missing.sum()), seen, f"a category of {len(levels):,}", (column,))


def _yes_no(raw: Raw, words: Sequence[str]) -> Found:
    column = Column(raw.name, "yes/no", tuple(words), source=raw.name)
    becomes = f"0 for {words[0]}, 1 for {words[1]}"
    return Found(raw.name, "yes/no", int(raw.missing.sum()), " or ".join(words), becomes, (column,))


def _one_value(raw: Raw) -> Found:
    """The same value wherever there is one: that it is missing in other rows may still tell something."""
    if raw.missing.any():
        return _category(raw)
    return _left_out(raw, "constant", _listed(raw.levels), "the same value in every row")


def _identifier(raw: Raw, why: str, instead: str) -> Found:
    assert raw.numbers is not None
    seen = f"{_short(raw.numbers.min())} to {_short(raw.numbers.max())}"
    return _left_out(raw, "identifier", seen, why, instead)


def _left_out(raw: Raw, kind: str, seen: str, why: str, instead: str = "") -> Found:
    tail = f"; kinds={raw.name}:{instead} keeps it" if instead else ""
    return Found(raw.name, kind, int(raw.missing.sum()), seen, f"left out: {why}{tail}")


def names_rows(name: str) -> bool:
    """Whether a column is called like one that names the rows.

    >>> names_rows("PassengerId"), names_rows("user_id"), names_rows("paid")
    (True, True, False)
    """
    return name.lower() in _ID_WORDS or _ID.fullmatch(name) is not None


def _sorted(raw: Raw) -> tuple[str, ...]:
    return tuple(sorted_for_people(raw.levels))


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(text if len(text) <= 30 else f"{text[:27]}..." for text in texts[:10])
    return shown + ", ..." * (len(texts) > 10)


def _short(value: float) -> str:
    return written(float(f"{float(value):.6g}"))
