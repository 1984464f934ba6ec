"""The targets of a table: classes, labels or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally
from yisheng.core.spec import Task
from yisheng.data.tables import dates
from yisheng.data.tables.inferred_column import MAX_FLOAT32
from yisheng.data.tables.label_texts import merge_spellings, normalize_labels
from yisheng.data.tables.literals import (
    infer_number_format,
    is_code,
    is_number,
    make_number_parser,
    match_yes_no,
)
from yisheng.data.tables.raw_column import RawColumn, format_number
from yisheng.data.tables.task_choice import report_task

MAX_INTEGER_CLASSES, MIN_ROWS_PER_CLASS = 20, 5
"""Whole numbers are classes if there are at most 20 distinct ones, with 5 rows each on average."""
BINARY_CODES = ({0, 1}, {1, 2}, {-1, 1})
"""Pairs of whole numbers that are classes however few rows there are."""
MAX_CLASSES = 10_000
_CHECK_ROWS = Message("check target=, or leave out the rows that are wrong")


@dataclass(frozen=True)
class Target:
    """The targets of a table.

    Args:
        task: see `yisheng.core.spec.Spec`.
        y: as in `yisheng.core.dataset.Dataset`, of the rows with a target alone.
        classes: names of the classes or labels.
        columns: the columns that were read, and the format of their numbers.
        forms: forms of the labels; see `yisheng.data.class_names`.
        ordered: whether the order of the classes is that of a pandas Categorical.
        findings: a note on the task if it was inferred.
    """

    task: Task
    y: np.ndarray
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    forms: tuple[str, ...] = ()
    ordered: bool = False
    findings: tuple[Finding, ...] = ()


def read_target(raws: Sequence[RawColumn], task: Task | None = None, forms: Sequence[str] = ()) -> Target:
    """Return the targets of a table.

    Texts are classes. Whole numbers are classes as in scikit-learn's ``type_of_target``, but only up to
    `MAX_INTEGER_CLASSES` distinct ones with `MIN_ROWS_PER_CLASS` rows each on average; other numbers are for
    regression. Several columns are labels if each is yes or no, else numbers for regression.

    Args:
        raws: the columns to predict.
        task: the user's choice, or None to infer it.
        forms: forms of the labels; see `yisheng.data.class_names`.

    Raises:
        DataError: a target of a regression is not a number, infinite, or the same in every row; or no row has one.
        UsageError: the task does not allow several columns.
    """
    has_target = ~np.any([raw.missing for raw in raws], axis=0)
    names = ", ".join(raw.name for raw in raws)
    if not has_target.any():
        raise DataError(
            Message("the target {names} is missing in every row", names=names),
            Message("name another column with target="),
        )
    if forms:
        raws = [normalize_labels(raw, forms) for raw in raws]
    if task is None:
        task = _infer_task(raws, int(has_target.sum()))
        findings = report_task(raws, task, [_distinct_numbers(raw) for raw in raws])
        return replace(read_target(raws, task, forms), findings=findings)
    columns = tuple(Column(raw.name, source=raw.name) for raw in raws)
    if task == "classification":
        if len(raws) > 1:
            raise UsageError(
                Message("classification predicts one column, got {count}: {names}", count=len(raws), names=names),
                Message("name one target, or use task=multilabel for several that are yes or no"),
            )
        return replace(_read_classes(raws[0], has_target), columns=columns, forms=tuple(forms))
    if task == "multilabel":
        labels = np.stack([read_label_column(raw)[has_target] for raw in raws], axis=1)
        return Target(task, labels, tuple(raw.name for raw in raws), columns, tuple(forms))
    columns = tuple(replace(column, format=_number_format(raw)) for column, raw in zip(columns, raws, strict=True))
    values = np.stack([read_number_column(raw)[has_target] for raw in raws], axis=1)
    for raw, column in zip(raws, values.T, strict=True):
        if column.min() == column.max():
            _raise_constant(raw.name, format_number(float(column[0])))
    return Target(task, values, (), columns)


def _infer_task(raws: Sequence[RawColumn], rows: int) -> Task:
    if len(raws) > 1:
        return "multilabel" if all(map(_is_label, raws)) else "regression"
    return "classification" if _are_classes(raws[0], rows) else "regression"


def _distinct_numbers(raw: RawColumn) -> np.ndarray:
    """Return the different numbers of a column, ascending; empty for a column of words or codes."""
    numbers = raw.numbers
    if numbers is None:
        number_format = infer_number_format(raw.categories, raw.number_format)
        if raw.is_free_text or number_format is None or any(map(is_code, raw.categories)):
            return np.empty(0)
        numbers = _parse_numbers(raw)
    return np.unique(numbers[~raw.missing])


def _are_classes(raw: RawColumn, rows: int) -> bool:
    values = _distinct_numbers(raw)
    if not len(values):
        return True
    if not np.isfinite(values).all() or (values != np.floor(values)).any():
        return False
    if set(values.tolist()) in BINARY_CODES:
        return True
    return len(values) <= MAX_INTEGER_CLASSES and rows >= MIN_ROWS_PER_CLASS * len(values)


def _read_classes(raw: RawColumn, has_target: np.ndarray) -> Target:
    if raw.numbers is not None:
        read_number_column(raw)  # raises if one is infinite
    texts = merge_spellings(raw.as_text())
    rows = int(has_target.sum())
    if texts.is_free_text or len(texts.categories) > min(MAX_CLASSES, max(MAX_INTEGER_CLASSES, rows / 2)):
        raise_too_many_classes(texts, rows)
    if raw.numbers is None and dates.infer_date_format(texts.categories) is not None:
        raise DataError(
            Message("the target {name} holds dates, which are neither classes nor numbers", name=raw.name),
            Message("name another target=, or convert the dates to a number of days"),
        )
    if len(texts.categories) == 1:
        _raise_constant(raw.name, texts.categories[0])
    assert texts.codes is not None
    pair = match_yes_no(texts.categories)
    names = pair or (texts.categories if raw.ordered else tuple(sort_naturally(texts.categories)))
    number_of = {name.casefold() if pair else name: number for number, name in enumerate(names)}
    numbers = [number_of[text.casefold() if pair else text] for text in texts.categories]
    y = np.array(numbers, np.int64)[texts.codes[has_target]]
    return Target("classification", y, tuple(names), (), ordered=raw.ordered)


def raise_too_many_classes(texts: RawColumn, rows: int) -> NoReturn:
    """Raise the error about a column with too many different texts for classes."""
    words = [code for code, text in enumerate(texts.categories) if not is_number(text)]
    if words and len(words) * 2 < len(texts.categories):  # a column of numbers with a few words in it
        _raise_not_a_number(texts, words[0])
    count = (
        Message("{count} different values", count=f"{len(texts.categories):,}")
        if texts.categories
        else Message("very many different texts")
    )
    raise DataError(
        Message(
            "the target {name} has {count} in {rows} rows: too many for classes",
            name=texts.name,
            count=count,
            rows=f"{rows:,}",
        ),
        Message("name another target=, or use task=regression if it is a number"),
    )


def _is_label(raw: RawColumn) -> bool:
    categories = merge_spellings(raw.as_text()).categories if not raw.is_free_text else ()
    return match_yes_no(categories) is not None or (len(categories) == 1 and categories[0] in ("0", "1"))


def read_label_column(raw: RawColumn) -> np.ndarray:
    """Return zeros and ones, float32 ``(N,)``; the label may be the same in every row."""
    texts = merge_spellings(raw.as_text())
    pair = match_yes_no(texts.categories) or (("0", "1") if _is_label(raw) else None)
    if pair is None:
        examples = ", ".join(texts.categories[:5]) or Message("many texts")
        raise DataError(
            Message(
                "the label {name} must be yes or no in every row, got {examples}", name=raw.name, examples=examples
            ),
            Message("write 0 and 1, or name another target="),
        )
    assert texts.codes is not None
    yes = pair[1].casefold()
    table = np.array([text.casefold() == yes for text in texts.categories] + [False], np.float32)
    return table[texts.codes]


def read_number_column(raw: RawColumn, number_format: str | None = None) -> np.ndarray:
    """Return finite numbers, float64 ``(N,)``, NaN where missing; the format of texts is inferred by default."""
    if raw.is_free_text:
        raise DataError(
            Message("the target {name} is text, not numbers", name=raw.name), Message("name another target=")
        )
    values = _parse_numbers(raw, number_format) if raw.numbers is None else raw.numbers.astype(np.float64)
    too_large = np.abs(values) > MAX_FLOAT32
    if too_large.any():
        row = int(too_large.argmax())
        raise DataError(
            Message(
                "the target {name} is {value} in row {row}: not a finite number",
                name=raw.name,
                value=f"{values[row]:g}",
                row=row + 1,
            ),
            _CHECK_ROWS,
        )
    return values


def _number_format(raw: RawColumn) -> str:
    if raw.numbers is not None:
        return raw.number_format
    return infer_number_format(raw.categories, raw.number_format) or ""


def _parse_numbers(raw: RawColumn, number_format: str | None = None) -> np.ndarray:
    number_format = _number_format(raw) if number_format is None else number_format
    numbers, rejected = raw.parse_numbers(make_number_parser(number_format))
    if rejected:
        _raise_not_a_number(raw, rejected[0])
    return numbers


def _raise_not_a_number(raw: RawColumn, code: int) -> NoReturn:
    row = int(np.argmax(raw.codes == code)) + 1
    raise DataError(
        Message(
            "the target {name} is {value} in row {row}: not a number",
            name=raw.name,
            value=f"{raw.categories[code][:40]!r}",
            row=row,
        ),
        _CHECK_ROWS,
    )


def _raise_constant(name: str, value: str) -> NoReturn:
    raise DataError(
        Message("the target {name} is {value} in every row: there is nothing to learn", name=name, value=value[:40]),
        Message("name another target=, or add rows with other values"),
    )
