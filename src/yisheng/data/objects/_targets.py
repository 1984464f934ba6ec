"""Targets of any kind: classes, labels or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally
from yisheng.core.spec import Task
from yisheng.data.objects._values import make_note

MAX_CLASSES = 10_000
MIN_ROWS_PER_CLASS, FEW_CLASSES = 2, 20
"""Whole numbers are classes if there are at most 20 distinct ones, or two rows of each on average."""
MAX_LISTED_CLASSES = 8


@dataclass(frozen=True)
class TargetEncoder:
    """How targets become those of a data set.

    Args:
        task: what is learned.
        classes: names of the classes or labels.
        values: the value of each class, sorted; empty for other tasks.
        is_one_hot: whether a row marks its class by a 1.
        outputs: number of targets of a regression.

    >>> encoder, _ = TargetEncoder.fit(np.array(["cat", "dog", "cat"]))
    >>> encoder.task, encoder.classes, encoder.encode(np.array(["dog"])).tolist()
    ('classification', ('cat', 'dog'), [1])
    """

    task: Task
    classes: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    is_one_hot: bool = False
    outputs: int = 0
    _numbers: dict[Any, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._numbers.update({value: number for number, value in enumerate(self.values)})

    @classmethod
    def fit(
        cls, y: np.ndarray, *, task: Task | None = None, classes: Sequence[str] = (), name: str = "y"
    ) -> tuple[TargetEncoder, list[Finding]]:
        """Return the encoder of some targets, and notes on how they were read.

        Whole numbers, bools and texts are classes, floats are numbers of a regression; a matrix of zeros and ones
        holds labels, or one-hot classes if each row holds a single 1.

        Args:
            y: targets ``(N,)`` or ``(N, T)``.
            task: the user's choice, or None to infer it.
            classes: names of the classes 0, 1, ... or of the labels.
            name: of the targets, for messages.

        Raises:
            DataError: a target is missing or not finite, or the targets do not fit the task.
        """
        y = _squeeze(y, name)
        _require_present(y, name)
        if y.ndim == 2 and y.shape[1] > 1:
            return cls._fit_matrix(y, task, tuple(classes), name)
        if task == "multilabel":
            return cls("multilabel", _name_labels(tuple(classes), 1, name)), []
        if task is None:
            task = "regression" if y.dtype.kind == "f" else "classification"
            notes = _note_two_numbers(y, name) if task == "regression" else []
        else:
            notes = []
        if task == "regression":
            _to_floats(y, name)
            return cls("regression", outputs=1), notes
        return cls._fit_classes(y, tuple(classes), name), notes

    @classmethod
    def _fit_matrix(
        cls, y: np.ndarray, task: Task | None, classes: tuple[str, ...], name: str
    ) -> tuple[TargetEncoder, list[Finding]]:
        if y.dtype.kind not in "fiub":
            raise DataError(
                Message(
                    "{name} must hold numbers in {columns} columns, got {dtype}",
                    name=name,
                    columns=y.shape[1],
                    dtype=y.dtype,
                ),
                Message("give one column"),
            )
        is_binary = bool(((y == 0) | (y == 1)).all())
        is_one_hot = is_binary and bool((y.sum(1) == 1).all())
        if task == "regression" or (task is None and not is_binary):
            _to_floats(y, name)
            return cls("regression", outputs=y.shape[1]), []
        if not is_binary or (task == "classification" and not is_one_hot):
            values = {"name": name, "columns": y.shape[1]}
            if not is_binary:
                problem = Message("{name} has {columns} columns that are not zeros and ones", **values)
                raise DataError(problem, Message("use task=regression for numbers"))
            problem = Message("{name} has {columns} columns that are not one-hot: a row must hold a single 1", **values)
            raise DataError(problem, Message("use task=multilabel"))
        if task == "multilabel" or not is_one_hot:
            return cls("multilabel", _name_labels(classes, y.shape[1], name)), []
        note = make_note(
            Message(
                "each row of {name} holds a single 1 in {columns} columns: they are read as one-hot classes",
                name=name,
                columns=y.shape[1],
            ),
            Message("use task=multilabel if several of them can hold"),
        )
        names = _name_labels(classes, y.shape[1], name)
        return cls("classification", names, tuple(range(y.shape[1])), is_one_hot=True), [note]

    @classmethod
    def _fit_classes(cls, y: np.ndarray, classes: tuple[str, ...], name: str) -> TargetEncoder:
        values = _sort_values(_to_plain(y))
        if classes:
            numbers = _number_values(values, classes, name)
            return cls("classification", classes, numbers)
        if len(values) > MAX_CLASSES or (len(values) > FEW_CLASSES and len(y) < MIN_ROWS_PER_CLASS * len(values)):
            raise DataError(
                Message(
                    "{name} has {values} different values in {rows} rows: too many for classes",
                    name=name,
                    values=f"{len(values):,}",
                    rows=f"{len(y):,}",
                ),
                Message("use task=regression if it is a number"),
            )
        if len(values) < 2:
            raise DataError(
                Message("{name} is {value} in every row: there is nothing to learn", name=name, value=values[0]),
                Message("give rows of at least two classes"),
            )
        return cls("classification", tuple(map(_class_name, values)), tuple(values))

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Return targets as `yisheng.core.dataset.Dataset` holds them.

        Args:
            y: targets in the form of the fitted ones.
            name: of the targets, for messages.

        Raises:
            DataError: a target is missing, or a class is not among those of the training rows.
        """
        y = _squeeze(y, name)
        _require_present(y, name)
        if self.task == "regression":
            values = _to_floats(y, name)
            self._require_columns(values, self.outputs, name)
            return values
        if self.task == "multilabel" or self.is_one_hot:
            labels = _to_floats(y, name)
            self._require_columns(labels, len(self.classes), name)
            if not ((labels == 0) | (labels == 1)).all():
                raise DataError(
                    Message("{name} must hold zeros and ones", name=name),
                    Message("write 1 for a label that holds, else 0"),
                )
            return labels.argmax(1).astype(np.int64) if self.is_one_hot else labels
        return self._encode_classes(y, name)

    def _encode_classes(self, y: np.ndarray, name: str) -> np.ndarray:
        numbers = self._numbers
        plain = _to_plain(y)
        if any(value not in numbers for value in plain):
            by_name = {value: number for number, value in enumerate(self.classes)}
            if all(str(value) in by_name for value in plain):  # the names of the classes, as a file holds them
                return np.array([by_name[str(value)] for value in plain], np.int64)
            unknown = _sort_values([value for value in plain if value not in numbers])
            raise DataError(
                Message(
                    "{name} has classes that the training rows do not have: {unknown}; they have {classes}",
                    name=name,
                    unknown=_list_classes(map(str, unknown)),
                    classes=_list_classes(self.classes),
                ),
                Message("name the classes alike, add rows of these classes to the training part, or drop them"),
            )
        return np.array([numbers[value] for value in plain], np.int64)

    def _require_columns(self, values: np.ndarray, expected: int, name: str) -> None:
        if values.shape[1] != expected:
            raise DataError(
                Message(
                    "{name} has {columns} columns, the training rows have {expected}",
                    name=name,
                    columns=values.shape[1],
                    expected=expected,
                ),
                Message("give the same targets"),
            )


def _squeeze(y: np.ndarray, name: str) -> np.ndarray:
    """Return ``(N,)`` for ``(N, 1)``; more than two axes are refused."""
    if y.ndim > 2:
        raise DataError(
            Message(
                "{name} must hold one class, or one row of numbers, for each sample, got the shape {shape}",
                name=name,
                shape=y.shape,
            ),
            Message(
                "flatten numbers and labels, as in y.reshape(len(y), -1); for maps of classes write a loop of your "
                "own, with yisheng.doctor around it"
            ),
        )
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _require_present(y: np.ndarray, name: str) -> None:
    if y.dtype.kind == "O":
        missing = np.array([value is None or value != value for value in y.reshape(-1)], bool).reshape(y.shape)
    elif y.dtype.kind in "fc":
        missing = ~np.isfinite(y)
    elif y.dtype.kind in "Mm":
        raise DataError(
            Message("{name} holds dates, which are neither classes nor numbers", name=name),
            Message("convert them to numbers of days"),
        )
    else:
        return
    if missing.any():
        row = int(missing.reshape(len(y), -1).any(1).argmax())
        raise DataError(
            Message("{name} is missing or not finite in row {row}", name=name, row=row),
            Message("fill in or drop the rows without a target"),
        )


def _to_floats(y: np.ndarray, name: str) -> np.ndarray:
    """Return finite numbers, float32 ``(N, T)``."""
    try:
        with np.errstate(over="ignore"):
            values = y.astype(np.float32).reshape(len(y), -1)
    except (ValueError, TypeError):
        raise DataError(
            Message("{name} must hold numbers for this task, got {dtype}", name=name, dtype=y.dtype),
            Message("use task=classification"),
        ) from None
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(1).argmax())
        raise DataError(
            Message("{name} is not a finite number in row {row}", name=name, row=row), Message("fix or drop the row")
        )
    return values


def _to_plain(y: np.ndarray) -> list[Any]:
    """Return class values as Python values; whole floats become integers, so that 1.0 and 1 are one class."""
    values = y.tolist()
    return [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]


def _sort_values(values: Sequence[Any]) -> list[Any]:
    """Return the distinct values: numbers in their order, texts in natural order."""
    try:
        distinct = list(dict.fromkeys(values))
    except TypeError:  # lists and dictionaries
        problem = Message(
            "y must hold a class or a number for each row, got {type_name}: {value}",
            type_name=type(values[0]).__name__,
            value=f"{values[0]!r:.40}",
        )
        raise DataError(problem, Message("give one value for each row")) from None
    if all(isinstance(value, int | float) for value in distinct):
        return sorted(distinct)
    by_text = {str(value): value for value in distinct}
    return [by_text[text] for text in sort_naturally(list(by_text))]


def _class_name(value: Any) -> str:
    return str(value)


def _number_values(values: Sequence[Any], classes: tuple[str, ...], name: str) -> tuple[Any, ...]:
    """Return the value of each named class: its number, or the name itself."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        if not all(0 <= value < len(classes) for value in values):
            raise DataError(
                Message(
                    "{name} goes from {lowest} to {highest}, but there are {count} names of classes: {classes}",
                    name=name,
                    lowest=values[0],
                    highest=values[-1],
                    count=len(classes),
                    classes=_list_classes(classes),
                ),
                Message("number the classes from 0, and name all of them"),
            )
        return tuple(range(len(classes)))
    unknown = [value for value in values if str(value) not in classes]
    if unknown:
        raise DataError(
            Message(
                "{name} has classes without a name in classes=: {classes}",
                name=name,
                classes=_list_classes(map(str, unknown)),
            ),
            Message("name all of them"),
        )
    by_name = {str(value): value for value in values}
    return tuple(by_name.get(text, text) for text in classes)


def _name_labels(classes: tuple[str, ...], count: int, name: str) -> tuple[str, ...]:
    if classes and len(classes) != count:
        raise DataError(
            Message(
                "{name} has {columns} columns, classes= names {classes}", name=name, columns=count, classes=len(classes)
            ),
            Message("name each column"),
        )
    return classes or tuple(str(number) for number in range(count))


def _list_classes(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:MAX_LISTED_CLASSES]) + f" and {len(listed) - MAX_LISTED_CLASSES} more" * (
        len(listed) > MAX_LISTED_CLASSES
    )


def _note_two_numbers(y: np.ndarray, name: str) -> list[Finding]:
    if not ((y == 0) | (y == 1)).all():
        return []
    return [
        make_note(
            Message("{name} holds only 0.0 and 1.0, learned as a number since they are floats", name=name),
            Message("use task=classification for two classes"),
        )
    ]
