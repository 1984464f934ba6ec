"""What becomes of a column of a known kind: its features, its values in words, and findings about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message, join_messages, message_of
from yisheng.core.natural_sort import sort_naturally
from yisheng.data.tables import dates
from yisheng.data.tables.clock_times import CLOCK_FORMATS
from yisheng.data.tables.date_findings import check_dates
from yisheng.data.tables.literals import make_number_parser
from yisheng.data.tables.number_findings import check_durations, check_values
from yisheng.data.tables.raw_column import RawColumn, format_number
from yisheng.data.tables.text_proposals import describe_parts, propose_parts

FEW_DISTINCT_VALUES = 20
"""Number of distinct texts up to which a column is a category, however few rows there are."""
MAX_FLOAT32 = float(np.finfo(np.float32).max)
_PRECISION_MAX_FRACTION = 1e-4
"""Single precision is too coarse for values if its step exceeds this fraction of their standard deviation."""


@dataclass(frozen=True)
class InferredColumn:
    """The kind of a table's column, and the features that are made of it.

    Args:
        name: name of the column.
        kind: see `yisheng.core.columns.ColumnKind`; ``empty`` if it has no value at all.
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


def make_number(raw: RawColumn, number_format: str = "", stray_words: Sequence[str] = ()) -> InferredColumn:
    """Return a column of numbers with its findings."""
    present = raw.present_numbers.astype(np.float64, copy=False)
    usable = select_usable(present)
    values = f"{_format_short(usable.min())} to {_format_short(usable.max())}" if len(usable) else ""
    column = Column(
        raw.name,
        "number",
        source=raw.name,
        format=number_format,
        missing_words=tuple(stray_words),
        double=needs_double(usable),
    )
    findings = (*_check_numbers(raw, present, usable, stray_words), *check_durations(raw.name, usable, number_format))
    becomes = Message("a number of seconds") if number_format in CLOCK_FORMATS else "a number"
    return InferredColumn(raw.name, "number", int(raw.missing.sum()), values, becomes, (column,), findings)


def _check_numbers(
    raw: RawColumn, present: np.ndarray, usable: np.ndarray, stray_words: Sequence[str]
) -> list[Finding]:
    """Return findings about infinite values, words among numbers, and numbers that may be something else."""
    findings = []
    if len(usable) < len(present):
        count = len(present) - len(usable)
        row = int(np.flatnonzero(~raw.missing)[np.abs(present) > MAX_FLOAT32][0]) + 1
        findings.append(
            Finding(
                "infinite values",
                "warning",
                {"column": raw.name, "values": count, "row": row},
                Message(
                    "column {name} holds {count} infinite or too large values (the first in row {row})",
                    name=raw.name,
                    count=count,
                    row=row,
                ),
                Message("they count as missing; correct what wrote them, perhaps a division by zero"),
            )
        )
    if stray_words:
        findings.append(
            Finding(
                "odd words",
                "warning",
                {"column": raw.name, "words": list(stray_words)},
                Message(
                    "column {name} holds words among its numbers: {words}", name=raw.name, words=list_texts(stray_words)
                ),
                Message("they count as missing; correct them, or use kinds={name}:category", name=raw.name),
            )
        )
    return [*findings, *check_values(raw.name, usable)]


def select_usable(values: np.ndarray) -> np.ndarray:
    """Return the values that single precision can hold; not a copy if all of them can."""
    is_usable = np.abs(values) <= MAX_FLOAT32
    return values if is_usable.all() else values[is_usable]


def needs_double(values: np.ndarray) -> bool:
    """Return whether the steps of single precision are too coarse for the differences between some finite values.

    >>> needs_double(1.7e9 + np.arange(100)), needs_double(np.arange(100) / 7)
    (True, False)
    """
    if not len(values):
        return False
    largest, std = max(-values.min(), values.max()), values.std()
    return bool(np.spacing(np.float32(largest)) > _PRECISION_MAX_FRACTION * std > 0)


def parse_number_column(raw: RawColumn, number_format: str, stray_words: Sequence[str] = ()) -> RawColumn:
    """Return texts as numbers.

    Raises:
        DataError: a text is neither a number nor a stray word; the error names the row.
    """
    numbers, rejected = raw.parse_numbers(make_number_parser(number_format))
    for code in rejected:
        if raw.categories[code] not in stray_words:
            row = int(np.argmax(raw.codes == code)) + 1
            raise DataError(
                Message(
                    "column {name}: {value} in row {row} is not a number",
                    name=raw.name,
                    value=f"{raw.categories[code]!r}",
                    row=row,
                ),
                Message("correct it, or leave the cell empty"),
            )
    return RawColumn(raw.name, numbers=numbers)


def make_date(raw: RawColumn, date_format: str, stray_texts: Sequence[str] = ()) -> InferredColumn:
    """Return a column of dates, whose features are the parts that vary.

    Args:
        raw: the column of texts.
        date_format: its format, or several joined by |.
        stray_texts: texts that are no dates, which count as missing.

    Raises:
        UsageError: the format has unknown codes, or no year or month.
        DataError: a text is not a date of this format; the error names the row.
    """
    try:
        days = parse_date_column(raw, date_format)
    except ValueError as error:
        raise UsageError(
            message_of(error), Message("write it with %Y, %m, %d, %b or %y, as in date:%d/%m/%Y")
        ) from None
    assert raw.codes is not None
    stray = [raw.categories.index(text) for text in stray_texts]
    invalid = np.isnan(days) & ~raw.missing & ~np.isin(raw.codes, stray)
    if invalid.any():
        row = int(invalid.argmax())
        raise DataError(
            Message(
                "column {name}: {value} in row {row} is not a date like {date_format}",
                name=raw.name,
                value=f"{raw.categories[raw.codes[row]]!r}",
                row=row + 1,
                date_format=date_format,
            ),
            Message("correct it, or give the format of the dates, as in kinds={name}:date:%d/%m/%Y", name=raw.name),
        )
    present = days[~np.isnan(days)]
    varying = []
    for part in dates.select_parts(date_format) if len(present) else ():
        values = dates.extract_date_part(present, part)
        if values.min() < values.max():
            varying.append(part)
    columns = tuple(
        Column(
            f"{raw.name}.{part}",
            "number",
            source=raw.name,
            date_part=part,
            format=date_format,
            missing_words=tuple(stray_texts),
        )
        for part in varying
    )
    findings = check_dates(raw, date_format, stray_texts)
    first, last = (np.datetime64(int(np.floor(day)), "D") for day in (present.min(), present.max()))
    becomes = Message("numbers: {parts}", parts=", ".join(varying)) if varying else Message("left out: one date only")
    missing = int(np.isnan(days).sum())
    return InferredColumn(raw.name, "date", missing, f"{first} to {last}", becomes, columns, findings)


def parse_date_column(raw: RawColumn, date_format: str) -> np.ndarray:
    """Return the days since 1970-01-01 of a column, float64 ``(N,)``, NaN where missing or not a date."""
    assert raw.codes is not None
    days: np.ndarray = np.append(dates.parse_dates(raw.categories, date_format), np.nan)[raw.codes]
    return days


def make_text(raw: RawColumn, values: str, *, is_text: bool) -> InferredColumn | None:
    """Return a column of texts by what they have in common, or None if they have nothing.

    Args:
        raw: the column of texts.
        values: its values, for people to read.
        is_text: see `propose_parts`.
    """
    columns = propose_parts(raw, repeats=False, is_text=is_text)
    if not columns:
        return None
    return InferredColumn(raw.name, "text", int(raw.missing.sum()), values, describe_parts(columns), columns)


def make_category(raw: RawColumn, *, with_parts: bool = False) -> InferredColumn:
    """Return a column of categories.

    Args:
        raw: the column of texts.
        with_parts: if there are many categories, add what some of their names have in common.
    """
    categories = raw.categories if raw.ordered else sort_categories(raw)
    column = Column(raw.name, "category", tuple(categories), source=raw.name)
    listed = list_texts(categories[:6])
    values = f"{len(categories):,} categories: {listed}" if len(categories) > 1 else f"{listed} or missing"
    becomes: str = Message("a category of {count}", count=f"{len(categories):,}")
    parts: tuple[Column, ...] = ()
    if with_parts and len(categories) > FEW_DISTINCT_VALUES:
        parts = propose_parts(raw, repeats=True, is_text=False)
    if parts:
        becomes = join_messages([becomes, describe_parts(parts)])
    return InferredColumn(raw.name, "category", int(raw.missing.sum()), values, becomes, (column, *parts))


def make_yes_no(raw: RawColumn, words: Sequence[str]) -> InferredColumn:
    """Return a column of two words, the first of which is 0."""
    column = Column(raw.name, "yes/no", tuple(words), source=raw.name)
    becomes = Message("0 for {first}, 1 for {second}", first=words[0], second=words[1])
    return InferredColumn(raw.name, "yes/no", int(raw.missing.sum()), " or ".join(words), becomes, (column,))


def make_single_value(raw: RawColumn) -> InferredColumn:
    """Return a category if other rows have no value, which may be informative, else a constant."""
    if raw.missing.any():
        return make_category(raw)
    return leave_out(raw, "constant", list_texts(raw.categories), Message("the same value in every row"))


def make_identifier(raw: RawColumn, reason: str, alternative: str) -> InferredColumn:
    """Return a column of numbers that is left out since it identifies the rows."""
    assert raw.numbers is not None
    values = f"{_format_short(raw.numbers.min())} to {_format_short(raw.numbers.max())}"
    return leave_out(raw, "identifier", values, reason, alternative)


def leave_out(raw: RawColumn, kind: str, values: str, reason: str, alternative: str = "") -> InferredColumn:
    """Return a column without features.

    Args:
        raw: the column.
        kind: its kind.
        values: its values, for people to read.
        reason: why it has no features.
        alternative: kind by which the user can keep it, or empty.
    """
    becomes = Message("left out: {reason}", reason=reason)
    if alternative:
        becomes = Message(
            "left out: {reason}; kinds={name}:{kind} keeps it", reason=reason, name=raw.name, kind=alternative
        )
    return InferredColumn(raw.name, kind, int(raw.missing.sum()), values, becomes)


def sort_categories(raw: RawColumn) -> tuple[str, ...]:
    """Return the categories in natural order."""
    return tuple(sort_naturally(raw.categories))


def list_texts(texts: Sequence[str]) -> str:
    """Return the first texts as one line, long ones shortened."""
    listed = ", ".join(text if len(text) <= 30 else f"{text[:27]}..." for text in texts[:10])
    return listed + ", ..." * (len(texts) > 10)


def _format_short(value: float) -> str:
    return format_number(float(f"{float(value):.6g}"))
