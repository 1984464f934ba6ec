"""Match the targets of other data with those of a run: classes and labels by name, numbers by their position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.class_names import list_names, match_classes, normalize_name, suggest_forms
from yisheng.data.tables.literals import is_number
from yisheng.data.tables.raw_column import format_number

MAX_LISTED_CLASSES = 200
"""Classes that ``evaluation.json`` lists."""


@dataclass(frozen=True)
class MatchedClasses:
    """Which classes (or labels) of the data are classes of the run.

    Args:
        matched: names of the run's classes that rows of the data have.
        absent: names of the run's classes that no row has.
        unknown: classes of the data that the run does not have, with the number of their rows.
    """

    matched: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)

    def describe(self, *, are_labels: bool = False) -> list[Message]:
        """Return a sentence about the unmatched classes of each side."""
        sentences = []
        if self.unknown:
            values = {"names": list_names(list(self.unknown)), "rows": f"{sum(self.unknown.values()):,}"}
            sentences.append(
                Message("rows of labels that the run does not know are not scored: {names} ({rows} in all)", **values)
                if are_labels
                else Message(
                    "rows of classes that the run does not know are not scored: {names} ({rows} in all)", **values
                )
            )
        if self.absent:
            names = list_names(self.absent)
            sentences.append(
                Message("no row has one of the run's labels {names}", names=names)
                if are_labels
                else Message("no row has one of the run's classes {names}", names=names)
            )
        return sentences

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in ``evaluation.json``."""
        return {
            "matched": list(self.matched[:MAX_LISTED_CLASSES]),
            "absent": list(self.absent[:MAX_LISTED_CLASSES]),
            "unknown": dict(list(self.unknown.items())[:MAX_LISTED_CLASSES]),
        }


@dataclass(frozen=True)
class MatchedTargets:
    """The targets of some rows as the run has them.

    Args:
        y: class numbers ``(N,)``, -1 for a class that the run does not have; labels ``(N, L)``; numbers ``(N, T)``.
        classes: the matched classes; None for a regression.
        notes: on other differences.
    """

    y: np.ndarray
    classes: MatchedClasses | None = None
    notes: tuple[str, ...] = ()


def model_names(spec: Spec, forms: Sequence[str]) -> list[str]:
    """Return the run's class names in the forms of the labels.

    Raises:
        UsageError: two of them would be the same.
    """
    names = [normalize_name(name, forms) for name in spec.classes]
    if len(set(names)) < len(names):
        merged = next(name for name in names if names.count(name) > 1)
        classes = [name for name in spec.classes if normalize_name(name, forms) == merged]
        raise UsageError(
            Message(
                "labels={forms} would make one class of the run's {classes}",
                forms=",".join(forms),
                classes=list_names(classes),
            ),
            Message("leave that form out"),
        )
    return names


def match_targets(dataset: Dataset, rows: np.ndarray, spec: Spec, forms: Sequence[str]) -> MatchedTargets:
    """Match the targets of a data set with those of a run.

    Args:
        dataset: the other data.
        rows: row numbers of the rows to match.
        spec: the contract of the run.
        forms: forms of the labels.

    Raises:
        DataError: the data is for another task, or none of its classes is one of the run.
    """
    y, task = dataset.y[rows], dataset.spec.task
    if spec.task == "classification" and task == "classification":
        return match_labels(dataset.name, y, dataset.spec.classes, spec, forms)
    if spec.task == "classification" and task == "regression" and y.shape[1] == 1:
        values, numbers = np.unique(y[:, 0], return_inverse=True)
        names = [format_number(float(value)) for value in values]
        return match_labels(dataset.name, numbers.astype(np.int64), names, spec, forms)
    if spec.task == "multilabel" and task in ("multilabel", "classification"):
        return _match_indicators(dataset, y, spec, forms)
    if spec.task == "regression" and task == "regression":
        return _match_numbers(dataset, y, spec)
    if spec.task == "regression" and task == "classification" and all(map(is_number, dataset.spec.classes)):
        values = np.array([float(name) for name in dataset.spec.classes])
        return _match_numbers(dataset, values[y][:, None], spec)
    raise DataError(
        Message(
            "{name} is for {task} (target {target}), the run for {run_task} ({run_target})",
            name=dataset.name,
            task=task,
            target=dataset.spec.target,
            run_task=spec.task,
            run_target=spec.target,
        ),
        Message("give data with the same target; for a table name its column with target="),
    )


def match_labels(
    name: str, numbers: np.ndarray, names: Sequence[str], spec: Spec, forms: Sequence[str]
) -> MatchedTargets:
    """Match labels by name.

    Args:
        name: the data, for an error.
        numbers: number of each row's label, int64 ``(N,)``.
        names: names of the labels.
        spec: the contract of the run.
        forms: forms of the labels.

    Raises:
        DataError: no row is of a class of the run.
    """
    counts = np.bincount(numbers, minlength=len(names))
    match = match_classes(model_names(spec, forms), [normalize_name(label, forms) for label in names])
    unknown = {
        label: int(count)
        for label, count, number in zip(names, counts, match.numbers, strict=True)
        if count and number < 0
    }
    y = np.array(match.numbers, np.int64)[numbers]
    if not (y >= 0).any():
        raise_no_match(name, spec, [label for label, count in zip(names, counts, strict=True) if count])
    return MatchedTargets(y, count_classes(y, spec, unknown))


def count_classes(y: np.ndarray, spec: Spec, unknown: Mapping[str, int]) -> MatchedClasses:
    """Return which of a run's classes some rows have.

    Args:
        y: class numbers ``(N,)``, -1 for unknown ones, or labels ``(N, L)``.
        spec: the contract of the run.
        unknown: number of rows by unknown class.
    """
    counts = np.bincount(y[y >= 0], minlength=len(spec.classes)) if y.ndim == 1 else y.sum(0)
    matched = tuple(name for name, count in zip(spec.classes, counts, strict=True) if count)
    absent = tuple(name for name, count in zip(spec.classes, counts, strict=True) if not count)
    return MatchedClasses(matched, absent, unknown)


def raise_no_match(name: str, spec: Spec, labels: Sequence[str]) -> NoReturn:
    """Raise the error about data none of whose classes the run has, with both lists.

    Raises:
        DataError: always.
    """
    raise DataError(
        Message(
            "no class of {name} is a class of the run: the run has {classes}; {name} has {labels}",
            name=name,
            classes=list_names(spec.classes),
            labels=list_names(labels),
        ),
        suggest_forms(spec.classes, labels)
        or Message("give data with the same classes, or name the target with target="),
    )


def _match_indicators(dataset: Dataset, y: np.ndarray, spec: Spec, forms: Sequence[str]) -> MatchedTargets:
    names = [normalize_name(label, forms) for label in dataset.spec.classes]
    match = match_classes(model_names(spec, forms), names)
    indicators = np.eye(len(names), dtype=np.float32)[y] if y.ndim == 1 else y
    labels = np.zeros((len(y), len(spec.classes)), np.float32)
    for column, number in enumerate(match.numbers):
        if number >= 0:
            labels[:, number] = np.maximum(labels[:, number], indicators[:, column])
    counts = indicators.sum(0)
    if not match.count:
        raise_no_match(dataset.name, spec, dataset.spec.classes)
    unknown = {
        label: int(counts[column])
        for column, label in enumerate(dataset.spec.classes)
        if match.numbers[column] < 0 and counts[column]
    }
    note = Message("the run does not know the labels {names}: they are not scored", names=list_names(list(unknown)))
    return MatchedTargets(labels, count_classes(labels, spec, {}), (note,) if unknown else ())


def _match_numbers(dataset: Dataset, y: np.ndarray, spec: Spec) -> MatchedTargets:
    """Match the targets of a regression: by name if both sides name several, else by position."""
    if y.shape[1] != spec.outputs:
        raise DataError(
            Message(
                "{name} has {count} targets per row, the run predicts {outputs}",
                name=dataset.name,
                count=y.shape[1],
                outputs=spec.outputs,
            ),
            Message("give data with the same targets"),
        )
    run_names, names = ([column.name for column in s.target_columns] for s in (spec, dataset.spec))
    if len(names) > 1 and set(names) == set(run_names):
        y = np.ascontiguousarray(y[:, [names.index(name) for name in run_names]])
    notes = []
    if dataset.spec.target != spec.target and "target" not in (spec.target, dataset.spec.target):
        notes.append(
            Message("the target is {name} here, {run_name} in the run", name=dataset.spec.target, run_name=spec.target)
        )
    if spec.unit and dataset.spec.unit and spec.unit != dataset.spec.unit:
        notes.append(
            Message(
                "the target's unit is {unit} here, {run_unit} in the run: the scores are right only if both are the "
                "same",
                unit=dataset.spec.unit,
                run_unit=spec.unit,
            )
        )
    return MatchedTargets(y, None, tuple(notes))
