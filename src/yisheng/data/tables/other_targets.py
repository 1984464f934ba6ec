"""The targets of a table other than that of training, read as those were: of a test table, or of rows to evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally
from yisheng.data.class_names import match_classes
from yisheng.data.tables.label_texts import merge_spellings, normalize_labels
from yisheng.data.tables.literals import NO_WORDS, YES_WORDS
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.targets import Target, raise_too_many_classes, read_label_column, read_number_column


def add_test_targets(target: Target, raws: Sequence[RawColumn], source_name: str) -> Target:
    """Return the targets of training with those of a test table after them; a class that only it has is a class, too.

    Args:
        target: the targets of training.
        raws: the same columns of the test table, none of them missing in a row.
        source_name: the test table, for an error.

    Raises:
        DataError: a target of the test table is not of the kind that it is in training.
    """
    if target.task != "classification":
        return replace(target, y=np.concatenate([target.y, read_values(raws, target, source_name)]))
    texts = merge_spellings(normalize_labels(raws[0], target.forms).as_text())
    if texts.is_free_text:
        raise_too_many_classes(texts, len(texts))
    match = match_classes(target.classes, texts.categories)
    all_names = (*target.classes, *match.unknown)
    classes = all_names if target.ordered else tuple(sort_naturally(all_names)) if match.unknown else target.classes
    number_of = {name: number for number, name in enumerate(classes)}
    train_numbers = np.array([number_of[name] for name in target.classes], np.int64)
    names = [
        target.classes[number] if number >= 0 else text
        for text, number in zip(texts.categories, match.numbers, strict=True)
    ]
    test_numbers = np.array([number_of[name] for name in names], np.int64)
    assert texts.codes is not None
    y = np.concatenate([train_numbers[target.y], test_numbers[texts.codes]])
    return replace(target, y=y, classes=classes)


def read_labels(raw: RawColumn, classes: Sequence[str], forms: Sequence[str]) -> tuple[np.ndarray, dict[str, int]]:
    """Return the class of each row by the classes of a model, -1 for a label that it does not have.

    Args:
        raw: a column without missing values.
        classes: class names of the model.
        forms: forms of the labels.

    Returns:
        int64 ``(N,)``, and the number of rows of each label that the model does not have.
    """
    texts = merge_spellings(normalize_labels(raw, forms).as_text()).normalize()
    if texts.is_free_text:
        raise_too_many_classes(texts, len(texts))
    assert texts.codes is not None
    match = match_classes(classes, texts.categories)
    counts = np.bincount(texts.codes, minlength=len(texts.categories))
    unknown = {texts.categories[code]: int(counts[code]) for code, number in enumerate(match.numbers) if number < 0}
    return np.array(match.numbers, np.int64)[texts.codes], unknown


def read_values(raws: Sequence[RawColumn], target: Target, source_name: str) -> np.ndarray:
    """Return the labels of another table, float32 ``(N, L)``, or its numbers, float64 ``(N, T)``, read as in training.

    Args:
        raws: columns without missing values.
        target: how they were read in training.
        source_name: the other table, for an error.

    Raises:
        DataError: a value is not yes or no, or not a number as in training.
    """
    try:
        if target.task == "multilabel":
            values = [_read_yes_no(normalize_labels(raw, target.forms)) for raw in raws]
        else:
            values = [read_number_column(raw, column.format) for raw, column in zip(raws, target.columns, strict=True)]
    except DataError as error:
        raise DataError(
            Message("{source_name}: {problem}", source_name=source_name, problem=error.problem), error.remedy
        ) from None
    return np.stack(values, axis=1)


def _read_yes_no(raw: RawColumn) -> np.ndarray:
    """Return zeros and ones, float32 ``(N,)``; a column may hold only one of the two words."""
    texts = merge_spellings(raw.as_text())
    words = [text.casefold() for text in texts.categories]
    if texts.is_free_text or not set(words) <= NO_WORDS | YES_WORDS:
        return read_label_column(raw)  # raises the error
    assert texts.codes is not None
    return np.array([word in YES_WORDS for word in words], np.float32)[texts.codes]
