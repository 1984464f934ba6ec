"""Check the rows of a data set by themselves: arrays, DataFrames, torch data sets, image folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from yisheng.core import registry
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import DataError, UsageError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.paths import find_data_reader, is_path
from yisheng.data.objects import to_dataset
from yisheng.diagnosis import data_findings
from yisheng.diagnosis.ranking import Diagnosis, rank
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.unknown_classes import are_classes, find_unknown_classes, select_known
from yisheng.reporting.findings_schema import Findings

NEXT_STEP = "learning-curve"
"""The check that always recommends something: it is made on request."""


@dataclass(frozen=True)
class RowResults:
    """The results of all checks of some rows.

    Args:
        findings: what they found, the data set's own findings included.
        unchecked: why a check could not run or decide, by its name.
        missing: parts that were not given.
        rows: number of training rows.
        sample: the rows, or None if they were not read.
    """

    findings: tuple[Finding, ...] = ()
    unchecked: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    rows: int = 0
    sample: Sample | None = None


def check_data(
    x: Any,
    y: Any = None,
    *,
    validation: Any = None,
    test: Any = None,
    quick: bool = False,
    seed: int = 0,
    **options: Any,
) -> Findings:
    """Check rows before any training: copies, leaks between parts, labels, columns, another distribution.

    No network and no loop is required. The checks are those of a run; see ``docs/doctor.md``. The caller's random
    generators stay as they are.

    Args:
        x: the inputs with ``y``; or data as a whole: a DataFrame, a torch ``Dataset`` or ``DataLoader``, a
            `yisheng.Dataset`, a folder of images or a file, or the name of a data set.
        y: the targets, or the name of a DataFrame's target column; None if ``x`` holds them.
        validation: rows of the validation part, as ``(x, y)`` or in the form of the data.
        test: rows of the test part, likewise.
        quick: leave out the checks that train small models (wrong labels, no signal, another distribution).
        seed: of what is drawn.
        **options: how the data is read, as in `yisheng.data.objects.in_memory.in_memory`.

    Raises:
        UsageError: nothing reads such an object, or an option does not fit it.
        DataError: the rows cannot be read, or the parts do not fit one another.

    >>> x = np.random.default_rng(0).normal(size=(60, 4))
    >>> y = (x[:, 0] > 0).astype(int)
    >>> findings = check_data(x, y, test=(x[:20], y[:20]), quick=True)
    >>> findings.findings[0].check, findings.findings[0].cause[:43]
    ('leaking-rows', '20 of 20 test rows (100%) are training rows')
    """
    results = examine_rows(x, y, validation=validation, test=test, quick=quick, seed=seed, **options)
    diagnosis = rank(results.findings, results.unchecked)
    return Diagnosis(
        diagnosis.findings, diagnosis.symptoms, diagnosis.unchecked, ("data",), results.missing
    ).to_findings()


def examine_rows(
    x: Any,
    y: Any = None,
    *,
    validation: Any = None,
    test: Any = None,
    quick: bool = False,
    seed: int = 0,
    beats_baseline: bool | None = None,
    skipped: Collection[str] = (NEXT_STEP,),
    **options: Any,
) -> RowResults:
    """Return the results of all checks of some rows; see `check_data`.

    Args:
        x: inputs, or data as a whole.
        y: targets, or None.
        validation: rows of the validation part.
        test: rows of the test part.
        quick: leave out the checks that train small models.
        seed: of what is drawn.
        beats_baseline: whether a network was better than guessing on rows that it was not trained on.
        skipped: checks to leave out.
        **options: how the data is read.

    Raises:
        UsageError: nothing reads such an object, or an option does not fit it.
        DataError: the rows cannot be read, or the parts do not fit one another.
    """
    missing = tuple(name for name, part in (("validation", validation), ("test", test)) if part is None)
    constant = find_constant_target(y)
    if constant is not None:
        return RowResults((constant,), {}, missing, len(y))
    unknown = None
    try:
        data = read_rows(x, y, validation=validation, test=test, **options)
    except DataError:
        unknown, validation, test = _leave_out_unknown_classes(y, validation, test)
        if unknown is None:
            raise
        data = read_rows(x, y, validation=validation, test=test, **options)
    split = _read_parts(data)
    sample = Sample.from_dataset(data, split, seed=seed, raw=True, beats_baseline=beats_baseline)
    missing = tuple(name for name, rows in (("validation", split.validation), ("test", split.test)) if not len(rows))
    reported = [finding.check for finding in data.findings]
    costs: tuple[data_findings.Cost, ...] = ("cheap",) if quick else ("cheap", "trainings")
    results = [data_findings.run_checks(sample, cost, reported=reported, skipped=skipped) for cost in costs]
    findings = [] if unknown is None else [unknown]
    findings += [*data.findings, *(finding for result in results for finding in result.findings)]
    unchecked = {name: reason for result in results for name, reason in result.unchecked.items()}
    return RowResults(tuple(findings), unchecked, missing, len(split.train), sample)


def read_rows(x: Any, y: Any, *, validation: Any, test: Any, **options: Any) -> Dataset:
    """Return the rows of all parts as a data set.

    A column of numbers that are only 0 and 1, and one-hot rows, are classes: losses of two classes want them so.

    Raises:
        UsageError: nothing reads such an object, or an option does not fit it.
        DataError: the rows cannot be read, or the parts do not fit one another.
    """
    if isinstance(x, str | os.PathLike):
        return _load(x, y, validation, test, options)
    if y is None:
        return to_dataset(x, validation=validation, test=test, **options)
    if hasattr(x, "assign") and hasattr(x, "columns"):
        name = y if isinstance(y, str) else str(getattr(y, "name", None) or "target")
        frames = [_join_target(part, name) for part in ((x, y), validation, test)]
        return to_dataset(frames[0], validation=frames[1], test=frames[2], target=name, **options)
    is_class = "task" not in options and is_class_target(y)
    if is_class:
        options = {**options, "task": "classification"}
    pairs = [_simplify(pair, is_class) for pair in ((x, y), validation, test)]
    return to_dataset(pairs[0], validation=pairs[1], test=pairs[2], **options)


def _leave_out_unknown_classes(y: Any, validation: Any, test: Any) -> tuple[Finding | None, Any, Any]:
    """Return the finding that held-out rows have classes without training rows, and the parts without these rows."""
    parts = [validation, test]
    training = _to_array(y)
    values = [_to_array(part[1]) if isinstance(part, tuple | list) and len(part) == 2 else None for part in parts]
    if training is None or not are_classes(training) or any(v is not None and not are_classes(v) for v in values):
        return None, validation, test
    finding = find_unknown_classes(training, [value for value in values if value is not None])
    if finding is not None:
        parts = [
            part if value is None else select_known(part, training, value)
            for part, value in zip(parts, values, strict=True)
        ]
    return finding, *parts


def find_constant_target(y: Any) -> Finding | None:
    """Return the finding that all targets are equal, or None; a data set of one class cannot even be made."""
    values = _to_array(y)
    if values is None or values.ndim not in (1, 2) or len(values) < 2 or values.size != len(values):
        return None
    counts = Counter(values.ravel().tolist())
    if len(counts) > 1:
        return None
    (value,) = counts
    return Finding(
        "target-kind",
        "error",
        {"rows": len(values), "value": value},
        Message(
            "the target is {value} in all {count} training rows: there is nothing to learn",
            value=value,
            count=f"{len(values):,}",
        ),
        Message("look at how the target is made, such as (y / 255).long(), which is 0 for every y below 255"),
    )


def is_class_target(y: Any) -> bool:
    """Return whether numbers are classes: only 0 and 1, or rows with a single 1.

    >>> is_class_target([0.0, 1.0, 1.0]), is_class_target(np.eye(3)), is_class_target([0.5, 1.0])
    (True, True, False)
    """
    values = _to_array(y)
    if values is None or values.dtype.kind not in "fb" or values.ndim not in (1, 2) or not values.size:
        return False
    is_binary = bool(((values == 0) | (values == 1)).all())
    if values.ndim == 1 or values.shape[1] == 1:
        return is_binary and bool(values.any()) and not bool(values.all())
    return is_binary and bool((values.sum(1) == 1).all())


def _read_parts(data: Dataset) -> Split:
    """Return the official parts; without them all rows are training rows."""
    part = np.zeros(len(data), np.int8) if data.part is None else data.part
    return Split(*(np.flatnonzero(part == number) for number in range(3)))


def _load(x: str | os.PathLike[str], y: Any, validation: Any, test: Any, options: dict[str, Any]) -> Dataset:
    if y is not None and not isinstance(y, str):
        raise UsageError(Message("targets are given next to a file or the name of a data set"), Message("leave y out"))
    options = {**options, **({"target": y} if isinstance(y, str) else {})}
    text = os.fspath(x)
    name, path = find_data_reader(text) if is_path(text) else (text, "")
    path_option = {"path": path} if path else {}
    data: Dataset = registry.build("data.datasets", name, **path_option, **options)
    if validation is None and test is None:
        return data
    return to_dataset(data, validation=validation, test=test)


def _join_target(part: Any, name: str) -> Any:
    """Return a DataFrame with its target column, from a pair of them."""
    if not isinstance(part, tuple | list):
        return part
    frame, target = part
    return frame if isinstance(target, str) else frame.assign(**{name: _to_array(target)})


def _simplify(pair: Any, is_class: bool) -> Any:
    """Return inputs and targets, where classes that are written as numbers become class numbers."""
    if not is_class or not isinstance(pair, tuple | list) or len(pair) != 2:
        return pair
    values = _to_array(pair[1])
    if values is None:
        return pair
    is_one_hot = values.ndim == 2 and values.shape[1] > 1
    return pair[0], values.argmax(1) if is_one_hot else values.reshape(-1).astype(np.int64)


def _to_array(value: Any) -> np.ndarray | None:
    """Return a tensor, array, list or column as an array, or None if it is none of them."""
    if value is None or isinstance(value, str):
        return None
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return np.asarray(value.float().numpy() if str(value.dtype) == "torch.bfloat16" else value.numpy())
    try:
        return np.asarray(value)
    except (ValueError, TypeError):
        return None
