"""The kind of each column of a table: number, category, date, or nothing that a network could learn from."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.types import Column, Finding
from yisheng.data.natural_sort import sort_naturally
from yisheng.data.tables import dates
from yisheng.data.tables.literals import (
    infer_number_format,
    is_code,
    is_number,
    make_number_parser,
    match_yes_no,
)
from yisheng.data.tables.raw_column import RawColumn, format_number

MAX_FLOAT32 = float(np.finfo(np.float32).max)
FEW_DISTINCT_VALUES = 20
"""Number of distinct texts up to which a column is a category, however few rows there are."""
MAX_CATEGORIES = 10_000
"""Largest number of categories that is inferred; a column that the user calls a category may have more."""
MAX_STRAY_WORDS, MAX_STRAY_FRACTION = 20, 0.05
"""Distinct words, and fraction of the rows with one, up to which words in a column of numbers count as missing."""
REQUESTABLE_KINDS = ("number", "category", "yes/no", "date", "text", "identifier", "constant")
_ID_NAME = re.compile(r"(id|index|key|uuid|guid|row ?names?|row|unnamed: \d+|.*[ _-]id|.*[a-z]I[dD])|.*_ID", re.DOTALL)
_ID_WORDS = ("id", "index", "key", "uuid", "guid")
_DATE_NAME = re.compile(r"date|day|time|when", re.IGNORECASE)
_MIN_IDENTIFIER_ROWS = 5
"""Fewest rows in which distinct texts make an identifier."""
_PRECISION_MIN_VALUE, _PRECISION_MAX_FRACTION = 1e6, 0.01
"""Single precision is too coarse for values above the first if its step exceeds this fraction of their deviation."""


@dataclass(frozen=True)
class InferredColumn:
    """The kind of a table's column, and the features that are made of it.

    Args:
        name: name of the column.
        kind: see `yisheng.core.types.Kind`; ``empty`` if it has no value at all.
        missing: number of rows without a value.
        values: its range or its categories, for people to read.
        becomes: its features or why it has none, for people to read.
        features: the features that are made of it; none if it is left out.
        findings: warnings about its values.
    """

    name: str
    kind: str
    missing: int
    values: str
    becomes: str
    features: tuple[Column, ...] = ()
    findings: tuple[Finding, ...] = ()


def infer_column(raw: RawColumn, requested_kind: str = "", *, is_only_column: bool = False) -> InferredColumn:
    """Infer the kind of a column.

    Args:
        raw: the column, normalized.
        requested_kind: the user's choice (``category``, ``date:%d/%m/%Y``); empty to infer it.
        is_only_column: whether it is the only feature, which is not left out for counting the rows.

    Raises:
        UsageError: there is no such kind.
        DataError: the column is not of the requested kind.
    """
    if requested_kind and requested_kind.partition(":")[0] not in REQUESTABLE_KINDS:
        raise UsageError(
            f"{requested_kind!r} is not a kind of column (kinds={raw.name}:{requested_kind})",
            suggest(requested_kind, REQUESTABLE_KINDS),
        )
    if raw.missing.all():
        return _leave_out(raw, "empty", "", "no value in any row")
    if requested_kind:
        return _as_requested(raw, requested_kind)
    if raw.is_free_text:
        return _leave_out(raw, "text", "very many different texts", "a different text in most rows")
    return _infer_from_numbers(raw, is_only_column) if raw.numbers is not None else _infer_from_texts(raw)


def _infer_from_numbers(raw: RawColumn, is_only_column: bool) -> InferredColumn:
    assert raw.numbers is not None
    values = raw.numbers[~raw.missing]
    low, high = values.min(), values.max()
    if low == high:
        return _single_value(raw.as_text())
    has_integer_dtype = raw.numbers.dtype.kind in "iu"
    if has_integer_dtype or bool((values == np.floor(values)).all()):
        if low == 0 and high == 1:
            return _yes_no(raw, ("0", "1"))
        if is_id_name(raw.name) and not raw.missing.any() and len(np.unique(values)) == len(values):
            return _identifier(raw, "a different number in every row", "number")
        counts_rows = low in (0, 1) and bool((np.diff(values) == 1).all())
        if not is_only_column and has_integer_dtype and len(values) > FEW_DISTINCT_VALUES and counts_rows:
            return _identifier(raw, "it counts the rows", "number")
        if _DATE_NAME.search(raw.name) and low >= 1_000_01_01 and high <= 9999_12_31:
            texts = raw.as_text()
            if not np.isnan(dates.parse_dates(texts.categories, dates.COMPACT_FORMAT)).any():
                return _date(texts, dates.COMPACT_FORMAT)
    return _number(raw)


def _infer_from_texts(raw: RawColumn) -> InferredColumn:
    categories, present = raw.categories, int((~raw.missing).sum())
    if len(categories) == 1:
        return _single_value(raw)
    pair = match_yes_no(categories)
    if pair:
        return _yes_no(raw, pair)
    if not any(map(is_code, categories)):
        number_format = infer_number_format(categories)
        if number_format is not None:
            return _number(_parse_numbers(raw, number_format), number_format)
        stray = _find_stray_words(raw, present)
        if stray:
            return _number(_parse_numbers(raw, "", stray), "", stray)
    date_format = dates.infer_date_format(categories)
    if date_format is not None:
        return _date(raw, date_format)
    if len(categories) == 2:
        return _yes_no(raw, _sorted_categories(raw))
    return _category_or_text(raw, present)


def _find_stray_words(raw: RawColumn, present: int) -> tuple[str, ...]:
    """Return the few words in a column of numbers; empty if there are too many of them."""
    words = (code for code, text in enumerate(raw.categories) if not is_number(text))
    stray = list(itertools.islice(words, MAX_STRAY_WORDS + 1))
    assert raw.codes is not None
    if len(raw.categories) - len(stray) <= FEW_DISTINCT_VALUES or len(stray) > MAX_STRAY_WORDS:
        return ()
    if np.isin(raw.codes, stray).sum() > MAX_STRAY_FRACTION * present:
        return ()
    return tuple(raw.categories[code] for code in stray)


def _category_or_text(raw: RawColumn, present: int) -> InferredColumn:
    """Return a category if texts repeat, so that they can be learned; a text that differs in most rows cannot."""
    categories, is_distinct = raw.categories, len(raw.categories) == present
    too_many = len(categories) > max(FEW_DISTINCT_VALUES, len(raw) / 2) or len(categories) > MAX_CATEGORIES
    if (is_distinct and present >= _MIN_IDENTIFIER_ROWS) or too_many:
        long_texts = sum(len(text) > 40 or len(text.split()) > 2 for text in categories)
        examples = f"{len(categories):,} different: {_list_texts(categories[:3])}"
        if is_distinct and long_texts <= len(categories) / 4:
            return _leave_out(raw, "identifier", examples, "a different text in every row", "category")
        reason = f"{len(categories):,} different texts in {present:,} rows"
        return _leave_out(raw, "text", examples, reason, "category")
    return _category(raw)


def _as_requested(raw: RawColumn, requested_kind: str) -> InferredColumn:
    kind, _, date_format = requested_kind.partition(":")
    if date_format and kind != "date":
        raise UsageError(
            f"{requested_kind!r} is not a kind of column (kinds={raw.name}:{requested_kind})",
            f"use {kind}, or date:{date_format}",
        )
    if kind in ("text", "identifier", "constant"):
        return _leave_out(raw, kind, "", "as kinds= says")
    if raw.is_free_text:
        raise DataError(
            f"column {raw.name} has too many different texts to be of kind {kind}", f"leave it out with drop={raw.name}"
        )
    if kind == "category":
        return _category(raw.as_text())
    if kind == "number":
        if raw.numbers is not None:
            return _number(raw)
        number_format = infer_number_format(raw.categories) or ""
        return _number(_parse_numbers(raw, number_format), number_format)
    texts = raw.as_text()
    if kind == "date":
        return _date(texts, date_format or dates.infer_date_format(texts.categories) or "%Y-%m-%d")
    if len(texts.categories) > 2:
        examples = _list_texts(texts.categories[:5])
        raise DataError(
            f"column {raw.name} is to be yes/no, it has {len(texts.categories)} different values: {examples}",
            f"use kinds={raw.name}:category",
        )
    return _yes_no(texts, match_yes_no(texts.categories) or (*_sorted_categories(texts), "(other)")[:2])


def _number(raw: RawColumn, number_format: str = "", stray_words: Sequence[str] = ()) -> InferredColumn:
    assert raw.numbers is not None
    present = raw.numbers[~raw.missing].astype(np.float64)
    usable = present[np.abs(present) <= MAX_FLOAT32]
    values = f"{_format_short(usable.min())} to {_format_short(usable.max())}" if len(usable) else ""
    column = Column(raw.name, "number", source=raw.name, format=number_format, missing_words=tuple(stray_words))
    findings = tuple(_check_numbers(raw, present, usable, stray_words))
    return InferredColumn(raw.name, "number", int(raw.missing.sum()), values, "a number", (column,), findings)


def _check_numbers(
    raw: RawColumn, present: np.ndarray, usable: np.ndarray, stray_words: Sequence[str]
) -> list[Finding]:
    """Return findings about infinite values, words among numbers, and values that single precision cannot hold."""
    findings = []
    if len(usable) < len(present):
        count = len(present) - len(usable)
        row = int(np.flatnonzero(~raw.missing)[np.abs(present) > MAX_FLOAT32][0]) + 1
        findings.append(
            Finding(
                "infinite values",
                "warning",
                {"column": raw.name, "values": count, "row": row},
                f"column {raw.name} holds {count} infinite or too large values (the first in row {row})",
                "they count as missing; correct what wrote them, perhaps a division by zero",
            )
        )
    if stray_words:
        findings.append(
            Finding(
                "odd words",
                "warning",
                {"column": raw.name, "words": list(stray_words)},
                f"column {raw.name} holds words among its numbers: {_list_texts(stray_words)}",
                f"they count as missing; correct them, or use kinds={raw.name}:category",
            )
        )
    largest = np.abs(usable).max() if len(usable) else 0.0
    if largest > _PRECISION_MIN_VALUE:
        std = usable.std()
        if np.spacing(np.float32(largest)) > _PRECISION_MAX_FRACTION * std > 0:
            findings.append(
                Finding(
                    "precision",
                    "warning",
                    {"column": raw.name, "largest": float(largest), "std": float(std)},
                    f"column {raw.name}: its values differ little for their size; most are equal in single precision",
                    "subtract a constant from it, or give a date as a date",
                )
            )
    return findings


def _parse_numbers(raw: RawColumn, number_format: str, stray_words: Sequence[str] = ()) -> RawColumn:
    """Return texts as numbers.

    Raises:
        DataError: a text is neither a number nor a stray word; the error names the row.
    """
    numbers, rejected = raw.parse_numbers(make_number_parser(number_format))
    for code in rejected:
        if raw.categories[code] not in stray_words:
            row = int(np.argmax(raw.codes == code)) + 1
            raise DataError(
                f"column {raw.name}: {raw.categories[code]!r} in row {row} is not a number",
                "correct it, or leave the cell empty",
            )
    return RawColumn(raw.name, numbers=numbers)


def _date(raw: RawColumn, date_format: str) -> InferredColumn:
    try:
        days = parse_date_column(raw, date_format)
    except ValueError as error:
        raise UsageError(str(error), "write it with %Y, %m, %d, %b or %y, as in date:%d/%m/%Y") from None
    invalid = np.isnan(days) & ~raw.missing
    if invalid.any():
        assert raw.codes is not None
        row = int(invalid.argmax())
        raise DataError(
            f"column {raw.name}: {raw.categories[raw.codes[row]]!r} in row {row + 1} is not a date like {date_format}",
            f"correct it, or give the format of the dates, as in kinds={raw.name}:date:%d/%m/%Y",
        )
    present = days[~np.isnan(days)]
    varying = []
    for part in dates.DATE_PARTS if len(present) else ():
        values = dates.extract_date_part(present, part)
        if values.min() < values.max():
            varying.append(part)
    columns = tuple(
        Column(f"{raw.name}.{part}", "number", source=raw.name, date_part=part, format=date_format) for part in varying
    )
    findings = []
    if dates.is_ambiguous(date_format, raw.categories):
        findings.append(
            Finding(
                "ambiguous dates",
                "warning",
                {"column": raw.name, "format": date_format},
                f"column {raw.name}: month and day could be swapped; it was read as {date_format}",
                f"if the day comes first, use kinds={raw.name}:date:{dates.SWAPPED_FORMATS[date_format]}",
            )
        )
    first, last = (np.datetime64(int(np.floor(day)), "D") for day in (present.min(), present.max()))
    becomes = f"numbers: {', '.join(varying)}" if varying else "left out: one date only"
    missing = int(raw.missing.sum())
    return InferredColumn(raw.name, "date", missing, f"{first} to {last}", becomes, columns, tuple(findings))


def parse_date_column(raw: RawColumn, date_format: str) -> np.ndarray:
    """Return the days since 1970-01-01 of a column, float64 ``(N,)``, NaN where missing or not a date."""
    assert raw.codes is not None
    days: np.ndarray = np.append(dates.parse_dates(raw.categories, date_format), np.nan)[raw.codes]
    return days


def _category(raw: RawColumn) -> InferredColumn:
    categories = raw.categories if raw.ordered else _sorted_categories(raw)
    column = Column(raw.name, "category", tuple(categories), source=raw.name)
    listed = _list_texts(categories[:6])
    values = f"{len(categories):,} categories: {listed}" if len(categories) > 1 else f"{listed} or missing"
    becomes = f"a category of {len(categories):,}"
    return InferredColumn(raw.name, "category", int(raw.missing.sum()), values, becomes, (column,))


def _yes_no(raw: RawColumn, words: Sequence[str]) -> InferredColumn:
    column = Column(raw.name, "yes/no", tuple(words), source=raw.name)
    becomes = f"0 for {words[0]}, 1 for {words[1]}"
    return InferredColumn(raw.name, "yes/no", int(raw.missing.sum()), " or ".join(words), becomes, (column,))


def _single_value(raw: RawColumn) -> InferredColumn:
    """Return a category if other rows have no value, which may be informative, else a constant."""
    if raw.missing.any():
        return _category(raw)
    return _leave_out(raw, "constant", _list_texts(raw.categories), "the same value in every row")


def _identifier(raw: RawColumn, reason: str, alternative: str) -> InferredColumn:
    assert raw.numbers is not None
    values = f"{_format_short(raw.numbers.min())} to {_format_short(raw.numbers.max())}"
    return _leave_out(raw, "identifier", values, reason, alternative)


def _leave_out(raw: RawColumn, kind: str, values: str, reason: str, alternative: str = "") -> InferredColumn:
    hint = f"; kinds={raw.name}:{alternative} keeps it" if alternative else ""
    return InferredColumn(raw.name, kind, int(raw.missing.sum()), values, f"left out: {reason}{hint}")


def is_id_name(name: str) -> bool:
    """Return whether a column's name is that of an identifier of the rows.

    >>> is_id_name("PassengerId"), is_id_name("user_id"), is_id_name("paid")
    (True, True, False)
    """
    return name.lower() in _ID_WORDS or _ID_NAME.fullmatch(name) is not None


def _sorted_categories(raw: RawColumn) -> tuple[str, ...]:
    return tuple(sort_naturally(raw.categories))


def _list_texts(texts: Sequence[str]) -> str:
    listed = ", ".join(text if len(text) <= 30 else f"{text[:27]}..." for text in texts[:10])
    return listed + ", ..." * (len(texts) > 10)


def _format_short(value: float) -> str:
    return format_number(float(f"{float(value):.6g}"))
