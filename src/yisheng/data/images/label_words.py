"""Labels of images that are words, or yes and no in a column for each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.natural_sort import natural_key
from yisheng.core.spec import Task
from yisheng.data.class_names import normalize_name
from yisheng.data.images.label_choices import LabelChoices, LabelTargets
from yisheng.data.tables.literals import NO_WORDS, YES_WORDS, is_missing
from yisheng.data.tables.targets import MAX_INTEGER_CLASSES

_YES = frozenset((*YES_WORDS, "1.0"))
_YES_OR_NO = frozenset((*_YES, *NO_WORDS, "0.0", ""))


def are_indicators(columns: Sequence[Sequence[str]], task: Task | None) -> bool:
    """Return whether each column is a label, with yes or no in every row; a single one only if the task says so."""
    is_enough = len(columns) > 1 or task == "multilabel"
    return is_enough and all(cell.casefold() in _YES_OR_NO for column in columns for cell in column)


def read_indicators(source: str, names: Sequence[str], columns: Sequence[Sequence[str]]) -> LabelTargets:
    """Return zeros and ones ``(N, L)``, and the names of the labels."""
    if not all(names) or len(set(names)) < len(names):
        raise DataError(
            Message(
                "{source} holds {count} columns of 0 and 1, but not a different name for each",
                source=source,
                count=len(columns),
            ),
            Message("write a header as its first line, with the label of each column: file,cloudy,forest"),
        )
    y = np.array([[cell.casefold() in _YES for cell in column] for column in columns], np.float32).T
    return LabelTargets("multilabel", y, tuple(names), np.ones(len(y), bool), has_words=False)


def read_words(source: str, columns: Sequence[Sequence[str]], choices: LabelChoices, task: Task | None) -> LabelTargets:
    """Return class numbers if every row has at most one label, else 0/1 indicators; and the sorted label names."""
    run_classes = () if choices.run is None else choices.run.classes
    if run_classes:  # a word that means missing elsewhere is a label only if training had it
        columns = [
            ["" if is_missing(cell) and cell not in run_classes else cell for cell in column] for column in columns
        ]
    missing = set(choices.reading.missing)
    rows = [
        dict.fromkeys(normalize_name(cell, choices.forms) for cell in row if cell and cell not in missing)
        for row in zip(*columns, strict=True)
    ]
    classes = sorted({*run_classes, *(label for row in rows for label in row)}, key=natural_key)
    number_of = {label: number for number, label in enumerate(classes)}
    if not run_classes and len(classes) > max(MAX_INTEGER_CLASSES, len(rows) / 2):
        raise DataError(
            Message(
                "{source} has {labels} different labels in {rows} rows: too many",
                source=source,
                labels=f"{len(classes):,}",
                rows=f"{len(rows):,}",
            ),
            Message("name the columns to predict with target="),
        )
    max_labels = max(map(len, rows))
    if task == "classification" and max_labels > 1:
        raise DataError(
            Message(
                "{source} has {max_labels} labels for an image, a classification one",
                source=source,
                max_labels=max_labels,
            ),
            Message("name its column with target="),
        )
    if task != "multilabel" and max_labels <= 1:
        if len(classes) < 2:
            raise DataError(
                Message(
                    "{source} lists images of one class only: {classes}", source=source, classes=", ".join(classes)
                ),
                Message("list some of another class"),
            )
        y = np.array([number_of[next(iter(row))] if row else 0 for row in rows], np.int64)
        return LabelTargets("classification", y, tuple(classes), np.array([bool(row) for row in rows]))
    indicators = np.zeros((len(rows), len(classes)), np.float32)
    for row_number, row in enumerate(rows):
        indicators[row_number, [number_of[label] for label in row]] = 1
    return LabelTargets("multilabel", indicators, tuple(classes), np.ones(len(rows), bool))
