"""The kind of each column of a table: number, category, date, or nothing that a network could learn from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.data.tables import dates
from yisheng.data.tables.category_findings import check_categories
from yisheng.data.tables.clock_times import infer_clock_format
from yisheng.data.tables.inferred_column import (
    FEW_DISTINCT_VALUES,
    InferredColumn,
    leave_out,
    list_texts,
    make_category,
    make_date,
    make_identifier,
    make_number,
    make_single_value,
    make_text,
    make_yes_no,
    parse_number_column,
    sort_categories,
)
from yisheng.data.tables.literals import infer_number_format, is_code, is_gap, make_number_parser, match_yes_no
from yisheng.data.tables.number_findings import find_packed_dates
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.text_findings import check_number_pair, check_texts
from yisheng.data.tables.unicode_forms import normalize_text

MAX_CATEGORIES = 10_000
"""Largest number of categories that is inferred; a column that the user calls a category may have more."""
MAX_STRAY_WORDS, MAX_STRAY_FRACTION = 20, 0.05
"""Distinct words, and fraction of the rows with one, up to which words in a column of numbers count as missing."""
MAX_FIRST_VALUES = 1000
"""Values that are looked at before all of a column are."""
REQUESTABLE_KINDS = ("number", "category", "yes/no", "date", "text", "identifier", "constant")
_ID_NAME = re.compile(
    r"(id|index|key|uuid|guid|row ?names?|row|unnamed: \d+|.*[ _-]id|.*[a-z]I[dD])|.*_ID(?:_.*)?", re.DOTALL
)
_ID_WORDS = ("id", "index", "key", "uuid", "guid")
_DATE_NAME = re.compile(r"date|day|time|when|month|period|fecha|datum|日期|时间|月份|年月", re.IGNORECASE)
_SCORE_NAME = re.compile(r"score|result|(?<![^\W_])ratio|ergebnis|aspect|比分|比例", re.IGNORECASE)
"""Names of columns whose 21:15 is not a time; that of a duration may be."""
UNNAMED_INDEX = "column-1"
"""Name of a first column without one: where pandas writes the numbers of the rows."""
MAX_DRAWN_FROM = 20
"""Rows from which one row is drawn at most, where a column may hold their numbers."""
_MIN_IDENTIFIER_ROWS = 5
"""Fewest rows in which distinct texts make an identifier."""


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
            Message(
                "{quoted_kind} is not a kind of column (kinds={name}:{kind})",
                quoted_kind=f"{requested_kind!r}",
                name=raw.name,
                kind=requested_kind,
            ),
            suggest(requested_kind, REQUESTABLE_KINDS),
        )
    if raw.missing.all():
        return leave_out(raw, "empty", "", Message("no value in any row"))
    if requested_kind:
        return _as_requested(raw, requested_kind)
    if raw.is_free_text:
        return leave_out(raw, "text", Message("very many different texts"), Message("a different text in most rows"))
    return _infer_from_numbers(raw, is_only_column) if raw.numbers is not None else _infer_from_texts(raw)


def _infer_from_numbers(raw: RawColumn, is_only_column: bool) -> InferredColumn:
    assert raw.numbers is not None
    values = raw.present_numbers
    low, high = values.min(), values.max()
    if low == high:
        return make_single_value(raw.as_text())
    has_integer_dtype = raw.numbers.dtype.kind in "iu"
    if has_integer_dtype or _are_whole(values):
        if low == 0 and high == 1:
            return make_yes_no(raw, ("0", "1"))
        if is_id_name(raw.name) and not raw.missing.any() and len(np.unique(values)) == len(values):
            return make_identifier(raw, Message("a different number in every row"), "number")
        counts_rows = low in (0, 1) and np.isfinite(high) and bool((np.diff(values) == 1).all())
        is_long = len(values) > FEW_DISTINCT_VALUES or raw.name == UNNAMED_INDEX
        if not is_only_column and has_integer_dtype and is_long and (counts_rows or _numbers_rows(raw)):
            return make_identifier(raw, Message("it counts the rows"), "number")
        if _DATE_NAME.search(raw.name) and low >= 1000_01 and high <= 9999_12_31_23_59_59:
            texts = raw.as_text()
            if not np.isnan(dates.parse_dates(texts.categories, dates.COMPACT_FORMAT)).any():
                return make_date(texts, dates.COMPACT_FORMAT)
            packed = find_packed_dates(values.astype(np.float64))
            if packed in dates.COMPACT_FORMATS:
                return make_date(texts, packed)
    return make_number(raw, raw.number_format)


def _numbers_rows(raw: RawColumn) -> bool:
    """Return whether a first column without a name holds the numbers of rows that were shuffled or drawn."""
    values = raw.present_numbers
    if raw.name != UNNAMED_INDEX or raw.missing.any() or len(values) <= FEW_DISTINCT_VALUES:
        return False
    is_in_range = values.min() >= 0 and values.max() < MAX_DRAWN_FROM * len(values)
    return bool(is_in_range) and len(np.unique(values)) == len(values)


def _are_whole(values: np.ndarray) -> bool:
    """Return whether numbers are whole; of most columns the first ones tell that they are not."""
    return all(bool((part == np.floor(part)).all()) for part in (values[:MAX_FIRST_VALUES], values[MAX_FIRST_VALUES:]))


def _infer_from_texts(raw: RawColumn) -> InferredColumn:
    categories, present = raw.categories, int((~raw.missing).sum())
    if len(categories) == 1:
        return make_single_value(raw)
    pair = match_yes_no(categories)
    if pair:
        return make_yes_no(raw, pair)
    if not any(map(is_code, categories)):
        number_format, stray = find_number_format(raw)
        if number_format is not None:
            return make_number(parse_number_column(raw, number_format, stray), number_format, stray)
    date_format, stray = find_date_format(raw)
    if date_format:
        return make_date(raw, date_format, stray)
    if len(categories) == 2:
        return replace(make_yes_no(raw, sort_categories(raw)), findings=check_number_pair(raw.name, categories))
    column = _category_or_text(raw, present)
    spellings = check_categories(raw) if column.kind == "category" else ()
    return replace(column, findings=(*check_texts(raw, column.kind), *spellings))


def find_number_format(raw: RawColumn) -> tuple[str | None, tuple[str, ...]]:
    """Return the format of a column of numbers, and the few words in it; None if it is not one.

    Args:
        raw: a column of texts.
    """
    texts = raw.categories
    number_format = infer_number_format(texts, raw.number_format)
    if number_format is not None:
        return number_format, ()
    with_digits = [text for text in texts if any(map(str.isdigit, text))]
    clock_format = None if _SCORE_NAME.search(raw.name) else infer_clock_format(with_digits)
    if clock_format is not None and len(with_digits) == len(texts):
        return clock_format, ()
    candidates = dict.fromkeys(
        [infer_number_format(with_digits, raw.number_format), clock_format, raw.number_format, ""]
    )
    for number_format in candidates:
        if number_format is not None:
            stray = find_stray_texts(raw, make_number_parser(number_format))
            if stray:
                return number_format, stray
    return None, ()


def find_date_format(raw: RawColumn) -> tuple[str, tuple[str, ...]]:
    """Return the formats of a column of dates, joined by |, and the few texts that are none; empty if it is not one.

    Args:
        raw: a column of texts.
    """
    texts = [normalize_text(text) for text in raw.categories]
    date_format = dates.infer_date_format(texts)
    if date_format is not None:
        return date_format, ()
    for date_format in dates.propose_date_formats(texts):
        stray = find_stray_texts(raw, dates.make_date_parser(date_format))
        if stray:
            return date_format, stray
    return "", ()


def find_stray_texts(raw: RawColumn, parse: Callable[[str], float]) -> tuple[str, ...]:
    """Return the few texts that a parser rejects; empty if there are none, or too many of them to be mistakes.

    Words for a missing value, such as ``n.d.``, may be more.

    Args:
        raw: a column of texts.
        parse: function that raises ValueError.
    """
    stray, gaps = list[int](), list[int]()
    for code, text in enumerate(raw.categories):
        try:
            parse(normalize_text(text))
        except ValueError:
            (gaps if is_gap(text) else stray).append(code)
            if len(stray) > MAX_STRAY_WORDS:
                return ()
    assert raw.codes is not None
    if len(raw.categories) - len(stray) - len(gaps) <= FEW_DISTINCT_VALUES:
        return ()
    if np.isin(raw.codes, stray).sum() > MAX_STRAY_FRACTION * (raw.codes >= 0).sum():
        return ()
    return tuple(raw.categories[code] for code in sorted([*stray, *gaps]))


def _category_or_text(raw: RawColumn, present: int) -> InferredColumn:
    """Return a category if texts repeat, so that they can be learned, else what they have in common."""
    categories, is_distinct = raw.categories, len(raw.categories) == present
    too_many = len(categories) > max(FEW_DISTINCT_VALUES, len(raw) / 2) or len(categories) > MAX_CATEGORIES
    if not too_many and not (is_distinct and present >= _MIN_IDENTIFIER_ROWS):
        return make_category(raw, with_parts=True)
    long_texts = sum(len(text) > 40 or len(text.split()) > 2 for text in categories)
    is_identifier = is_distinct and long_texts <= len(categories) / 4
    examples = f"{len(categories):,} different: {list_texts(categories[:3])}"
    if not is_identifier or not is_id_name(raw.name):
        column = make_text(raw, examples, is_text=not is_identifier)
        if column is not None:
            return column
    if is_identifier:
        return leave_out(raw, "identifier", examples, Message("a different text in every row"), "category")
    reason = Message(
        "{count} different texts in {rows} rows, which have nothing in common",
        count=f"{len(categories):,}",
        rows=f"{present:,}",
    )
    return leave_out(raw, "text", examples, reason, "category")


def _as_requested(raw: RawColumn, requested_kind: str) -> InferredColumn:
    kind, _, date_format = requested_kind.partition(":")
    if date_format and kind != "date":
        raise UsageError(
            Message(
                "{quoted_kind} is not a kind of column (kinds={name}:{kind})",
                quoted_kind=f"{requested_kind!r}",
                name=raw.name,
                kind=requested_kind,
            ),
            Message("use {kind}, or date:{date_format}", kind=kind, date_format=date_format),
        )
    if kind in ("identifier", "constant"):
        return leave_out(raw, kind, "", Message("as kinds= says"))
    if raw.is_free_text:
        raise DataError(
            Message("column {name} has too many different texts to be of kind {kind}", name=raw.name, kind=kind),
            Message("leave it out with drop={name}", name=raw.name),
        )
    if kind == "category":
        return make_category(raw.as_text())
    if kind == "text":
        texts = raw.as_text()
        values = f"{len(texts.categories):,} different: {list_texts(texts.categories[:3])}"
        text_column = make_text(texts, values, is_text=True)
        return text_column or leave_out(texts, kind, values, Message("its texts have nothing in common"))
    if kind == "number":
        if raw.numbers is not None:
            return make_number(raw, raw.number_format)
        number_format, stray = find_number_format(raw)
        number_format = number_format or raw.number_format
        return make_number(parse_number_column(raw, number_format, stray), number_format, stray)
    texts = raw.as_text()
    if kind == "date":
        inferred, stray = find_date_format(texts) if not date_format else (date_format, ())
        return make_date(texts, inferred or "%Y-%m-%d", stray)
    if len(texts.categories) > 2:
        examples = list_texts(texts.categories[:5])
        raise DataError(
            Message(
                "column {name} is to be yes/no, it has {count} different values: {examples}",
                name=raw.name,
                count=len(texts.categories),
                examples=examples,
            ),
            Message("use kinds={name}:category", name=raw.name),
        )
    return make_yes_no(texts, match_yes_no(texts.categories) or (*sort_categories(texts), "(other)")[:2])


def is_id_name(name: str) -> bool:
    """Return whether a column's name is that of an identifier of the rows.

    >>> is_id_name("PassengerId"), is_id_name("user_id"), is_id_name("paid")
    (True, True, False)
    """
    return name.lower() in _ID_WORDS or _ID_NAME.fullmatch(name) is not None
