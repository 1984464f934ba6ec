"""From columns as they were read to the block that a network's transform takes; the same in training and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError
from yisheng.core.messages import Message, plural_message
from yisheng.data.tables import dates
from yisheng.data.tables.clock_times import CLOCK_FORMATS
from yisheng.data.tables.inferred_column import MAX_FLOAT32, parse_date_column
from yisheng.data.tables.literals import (
    MISSING_WORDS,
    NO_WORDS,
    THOUSANDS_MARKS,
    YES_WORDS,
    is_number,
    make_number_parser,
    match_yes_no,
    spelling_key,
)
from yisheng.data.tables.mapped_memory import allocate_column
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.text_parts import compute_text_parts
from yisheng.data.tables.unicode_forms import normalize_text
from yisheng.data.tables.value_ranges import describe_outside, find_outside


class UnusableValues(NamedTuple):
    """Values of a column that became missing or unknown, or are unlike training: rows, the first of them, and why."""

    column: str
    row_count: int
    first_row: int
    problem: str


def encode_columns(
    raw_columns: dict[str, RawColumn], columns: Sequence[Column], source_name: str, first_row: int = 0
) -> tuple[np.ndarray, list[UnusableValues]]:
    """Return the values of the features.

    Numbers are kept, a category becomes its number (-1 for an unseen one), yes/no becomes 1 and 0; NaN is a missing
    value.

    Args:
        raw_columns: the columns by name; removed one by one, so that their memory is freed.
        columns: the features.
        source_name: name of the source in an error.
        first_row: number of rows of the source before these.

    Returns:
        float32 ``(N, D)``, float64 if a column needs it; and the values that became missing or unknown, numbers
        far from those of training, and rows without any value.

    Raises:
        DataError: a column is missing, or a value is not a number or date as in training.
    """
    names: dict[str, list[tuple[int, Column]]] = {}
    for index, column in enumerate(columns):
        names.setdefault(column.source, []).append((index, column))
    absent = [name for name in names if name not in raw_columns]
    if absent:
        raise DataError(
            plural_message(
                len(absent),
                "{source_name} lacks the column {columns} that the model was trained on",
                "{source_name} lacks the columns {columns} that the model was trained on",
                source_name=source_name,
                columns=_list_some(absent),
            ),
            Message("name the columns as in training; unknown values may be empty"),
        )
    rows = len(raw_columns[next(iter(names))]) if names else 0
    dtype = np.float64 if any(column.double for column in columns) else np.float32
    # By columns first: a block by rows would take all its memory with the first column, next to all the others.
    block = allocate_column(rows * len(columns), np.dtype(dtype)).reshape(len(columns), rows).T
    unusable = list[UnusableValues]()
    empty_rows = np.arange(rows)
    for name, features in names.items():
        raw = raw_columns.pop(name)
        empty_rows = empty_rows[raw.missing[empty_rows]] if len(empty_rows) else empty_rows
        is_date = bool(features[0][1].date_part)
        days = _parse_dates(raw, features[0][1], source_name, first_row) if is_date else None
        text_features = [(index, column) for index, column in features if column.text_part]
        if text_features:
            block[:, [index for index, _ in text_features]] = _compute_texts(raw, [c for _, c in text_features])
            for index, column in text_features:
                present = np.where(raw.missing, np.nan, block[:, index]) if column.value_range else block[:0, index]
                unusable += _report_outside(column, present, first_row)
        for index, column in features:
            if column.text_part:
                continue
            if days is not None:
                values = dates.extract_date_part(days, column.date_part)
            elif column.kind == "number":
                values = _parse_numbers(raw, column, source_name, first_row)
            else:
                values = _encode_categories(raw.as_text().normalize(), column, unusable, first_row)
            too_large = np.abs(values) > MAX_FLOAT32
            if too_large.any():
                row = first_row + int(too_large.argmax())
                unusable.append(
                    UnusableValues(name, int(too_large.sum()), row, Message("infinite or too large: missing"))
                )
                values = np.where(too_large, np.nan, values)
            unusable += _report_outside(column, values, first_row)
            block[:, index] = values
    if len(empty_rows) and len(names) > 1:
        first = first_row + int(empty_rows[0])
        unusable.append(UnusableValues(Message("every column"), len(empty_rows), first, Message("empty")))
    return np.ascontiguousarray(block), unusable


def _report_outside(column: Column, values: np.ndarray, first_row: int) -> list[UnusableValues]:
    """Return the report of numbers unlike those of training, if there are such."""
    is_outside = find_outside(column, values)
    if not is_outside.any():
        return []
    row = first_row + int(is_outside.argmax())
    return [UnusableValues(column.source, int(is_outside.sum()), row, describe_outside(column))]


def _compute_texts(raw: RawColumn, columns: Sequence[Column]) -> np.ndarray:
    """Return what the features hold of a column's texts, float32 ``(N, len(columns))``."""
    words = {*MISSING_WORDS, *columns[0].missing_words}
    return compute_text_parts(raw.as_text().normalize(words), columns)


def _parse_dates(raw: RawColumn, column: Column, source_name: str, first_row: int) -> np.ndarray:
    """Return days since 1970-01-01, float64 ``(N,)``; dates of ISO 8601 are read in addition to those of training."""
    texts = raw.as_text().normalize()
    days = parse_date_column(texts, dates.ISO_FORMAT if raw.is_date else column.format)
    assert texts.codes is not None
    stray = [code for code, text in enumerate(texts.categories) if text in column.missing_words]
    invalid = np.isnan(days) & ~texts.missing & ~np.isin(texts.codes, stray)
    if invalid.any() and dates.may_be_iso(column.format):
        days = np.where(invalid, parse_date_column(texts, dates.ISO_FORMAT), days)
        invalid &= np.isnan(days)
    if invalid.any():
        required = Message("a date like {format}", format=column.format.replace("|", " | "))
        _raise_invalid(texts, int(invalid.argmax()), source_name, first_row, required)
    return days


def _parse_numbers(raw: RawColumn, column: Column, source_name: str, first_row: int) -> np.ndarray:
    """Return numbers, float64 ``(N,)``."""
    if raw.numbers is not None:
        numbers = raw.numbers.astype(np.float64, copy=False)
        marked = [float(word) for word in column.missing_words if is_number(word)]
        return np.where(np.isin(numbers, marked), np.nan, numbers) if marked else numbers
    texts = raw.normalize()
    numbers, rejected = texts.parse_numbers(make_number_parser(column.format))
    for code in rejected:
        if texts.categories[code] not in column.missing_words:
            row = int(np.argmax(texts.codes == code))
            _raise_invalid(texts, row, source_name, first_row, _describe_number(column.format))
    words = [n for n, text in enumerate(texts.categories) if text in column.missing_words]
    marked = [float(word) for word in column.missing_words if is_number(word)]
    assert texts.codes is not None
    return np.where(np.isin(texts.codes, words) | np.isin(numbers, marked), np.nan, numbers)


def _describe_number(number_format: str) -> Message:
    """Return how numbers are written in a column, for an error about one that is not."""
    if not number_format:
        return Message("a number")
    if number_format in CLOCK_FORMATS:
        return Message("a time as in training ({format})", format=number_format)
    example = {".": "1,234.5", ",": "1.234,5"}[number_format[0]] + number_format[1:].strip("".join(THOUSANDS_MARKS))
    return Message("a number as in training, like {example}", example=example)


def _encode_categories(raw: RawColumn, column: Column, unusable: list[UnusableValues], first_row: int) -> np.ndarray:
    """Return category numbers, float64 ``(N,)``; another spelling of a category (YES, 1.0) is recognized."""
    raw = raw.normalize({*MISSING_WORDS, *column.missing_words})
    number_of = {category: number for number, category in enumerate(column.categories)}
    number_of_key = {_spelling_key(category, column.kind): number for category, number in number_of.items()}
    if column.kind == "yes/no" and match_yes_no(column.categories):
        number_of_key |= {**dict.fromkeys(NO_WORDS, 0), **dict.fromkeys(YES_WORDS, 1)}
    numbers = [
        number_of.get(category, number_of_key.get(_spelling_key(category, column.kind), -1))
        for category in raw.categories
    ]
    assert raw.codes is not None
    unseen = [code for code, number in enumerate(numbers) if number < 0]
    if unseen:
        in_rows = np.isin(raw.codes, unseen)
        first = int(in_rows.argmax())
        value = f"{raw.categories[raw.codes[first]][:40]!r}"
        problem = Message("{value} was never seen in training", value=value)
        unusable.append(UnusableValues(raw.name, int(in_rows.sum()), first_row + first, problem))
    unseen_value = np.nan if column.kind == "yes/no" else -1
    table = np.array([*(number if number >= 0 else unseen_value for number in numbers), np.nan])
    values: np.ndarray = table[raw.codes]
    return values


def _spelling_key(category: str, kind: str) -> str:
    """Return a text that is equal for all spellings of a category: 1 and 1.0, yes and YES, true and True, é and e + ´.

    1.1 and 1.10 are different, since they may be versions.
    """
    category = spelling_key(normalize_text(category))
    folded = category.casefold()
    return folded if kind == "yes/no" or folded in ("false", "true") else category


def _raise_invalid(raw: RawColumn, row: int, source_name: str, first_row: int, required: Message) -> NoReturn:
    """Raise the error about a text that is not what its column requires, such as a number."""
    assert raw.codes is not None
    remedy = Message("correct it, or leave the cell empty if the value is unknown")
    if "number" in required:
        remedy = Message(
            "correct it, or leave the cell empty if it is unknown; if this file writes numbers in another way, name "
            "it with decimal= and thousands="
        )
    problem = Message(
        "{source_name}: row {row}, {name}: {value} is not {required}",
        source_name=source_name,
        row=first_row + row + 1,
        name=raw.name,
        value=f"{raw.categories[raw.codes[row]][:40]!r}",
        required=required,
    )
    raise DataError(problem, remedy)


def _list_some(names: Sequence[str], count: int = 5) -> str:
    """Return the first names, and how many more there are."""
    listed = ", ".join(names[:count])
    omitted = len(names) - count
    return Message("{names} and {count} more", names=listed, count=omitted) if omitted > 0 else listed
