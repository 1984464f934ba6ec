"""From the rows of one object or more to a data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.objects import _arrays
from yisheng.data.objects._blocks import concatenate_blocks
from yisheng.data.objects._inputs import InputEncoder
from yisheng.data.objects._parts import read_parts
from yisheng.data.objects._targets import TargetEncoder
from yisheng.data.objects._values import Encoders, Options, Values
from yisheng.data.tables.inferred_column import needs_double, select_usable

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class MemoryData:
    """A data set made of objects.

    Args:
        dataset: the data set.
        settings: settings of the config that follow from the objects, where the user chose nothing else.
    """

    dataset: Dataset
    settings: dict[str, Any]


def assemble(train: Values, validation: Values | None, test: Values | None, options: Options) -> MemoryData:
    """Return the data set of the training rows and of the rows of the other parts.

    Types, classes and shapes are those of the training rows.

    Args:
        train: the rows to train on, and to split if no other parts are given.
        validation: rows to validate on, or None.
        test: rows to test on, or None.
        options: the user's choices.

    Raises:
        DataError: the parts do not fit one another.
        UsageError: the options contradict one another, or random passes lack rows to validate on.
    """
    part = _read_part(train, options, has_parts=validation is not None or test is not None)
    training_y = train.y if part is None else train.y[part == TRAIN]
    inputs, notes = InputEncoder.fit(train.x, "x", ids=options.ids)
    targets, further = TargetEncoder.fit(training_y, task=options.task, classes=options.classes or train.classes)
    parts = [
        (number, values, name)
        for number, values, name in ((TRAIN, train, ""), (VALIDATION, validation, "validation "), (TEST, test, "test "))
        if values is not None
    ]
    blocks = [inputs.encode(values.x, f"{name}x") for _, values, name in parts]
    y = np.concatenate([targets.encode(values.y, f"{name}y") for _, values, name in parts])
    if targets.task == "regression" and train.make_stream is None:
        exact = np.concatenate([np.asarray(values.y, np.float64).reshape(len(values), -1) for _, values, _ in parts])
        y = exact if any(needs_double(select_usable(column)) for column in exact.T) else y
    if part is None and len(parts) > 1:
        part = np.concatenate([np.full(len(values), number, np.int8) for number, values, _ in parts])
    stream = None if train.make_stream is None else train.make_stream(Encoders(inputs.encode, targets.encode))
    settings = dict(train.settings)
    if stream is not None and stream.keeps_order:
        _require_parts(train, validation, options)
        settings |= {} if test is not None else {"test": 0}
    spec = Spec(
        targets.task, classes=targets.classes, target=train.target, outputs=targets.outputs, **inputs.spec_fields
    )
    all_values = [values for _, values, _ in parts]
    dataset = Dataset(
        _folder_name(train.name),
        spec,
        concatenate_blocks(blocks, train.name),
        y,
        part,
        weight=_read_weights(all_values, options),
        group=_read_groups(options, len(y)),
        time=_read_times(options, len(y)),
        rows=_join_rows(all_values),
        findings=_unique([*notes, *further, *(note for values in all_values for note in values.notes)]),
        about=f"rows in memory ({train.name})",
        stream=stream,
    )
    return MemoryData(dataset, settings)


def _read_part(train: Values, options: Options, *, has_parts: bool) -> np.ndarray | None:
    part = options.part if options.part is not None else train.part
    if part is None:
        return None
    if has_parts:
        raise UsageError(
            Message("part= and validation= or test= contradict: both say which rows are in a part"), Message("give one")
        )
    if isinstance(part, str):
        raise UsageError(
            Message("part={part} names a column, but the data is not a table", part=part),
            Message("give the part of each row"),
        )
    return read_parts(part, len(train))


def _require_parts(train: Values, validation: Values | None, options: Options) -> None:
    if validation is None or options.part is not None:
        raise UsageError(
            Message(
                "{name} has its own order and other items in each epoch, so no rows can be held out of it",
                name=train.name,
            ),
            Message("give rows to validate on with validation= (and test=)"),
        )


def _read_weights(values: Sequence[Values], options: Options) -> np.ndarray | None:
    column, train = options.sample_weight, values[0]
    if column is not None and not isinstance(column, str):
        weights = np.asarray(_arrays.to_array(column, "sample_weight"), np.float32).reshape(-1)
        if len(weights) != len(train):
            raise DataError(
                Message(
                    "sample_weight has {values} values for {rows} training rows",
                    values=len(weights),
                    rows=len(train),
                ),
                Message("give one for each row"),
            )
    elif train.sample_weight is None:
        return None
    else:
        weights = np.asarray(train.sample_weight, np.float32).reshape(-1)
    held_out = [
        np.ones(len(part), np.float32) if part.sample_weight is None else part.sample_weight.reshape(-1)
        for part in values[1:]
    ]
    return np.concatenate([weights, *held_out]).astype(np.float32)


def _read_groups(options: Options, count: int) -> np.ndarray | None:
    """Return the number of each row's group."""
    if options.group is None:
        return None
    groups = _read_column(options.group, "group", count)
    return np.unique(groups.astype(str), return_inverse=True)[1].reshape(-1).astype(np.int64)


def _read_times(options: Options, count: int) -> np.ndarray | None:
    """Return the time of each row; dates as days."""
    if options.time is None:
        return None
    times = _read_column(options.time, "time", count)
    if times.dtype.kind == "M":
        return times.astype("datetime64[us]").astype(np.float64) / 86_400e6
    try:
        return times.astype(np.float64)
    except (ValueError, TypeError):
        raise DataError(
            Message("time must hold numbers or dates"), Message("give a NumPy array of datetime64, or numbers")
        ) from None


def _read_column(values: Any, name: str, count: int) -> np.ndarray:
    if isinstance(values, str):
        raise UsageError(
            Message("{name}={values} names a column, but the data is not a table", name=name, values=values),
            Message("give an array with one value per row"),
        )
    array = _arrays.to_array(values, name).reshape(-1)
    if len(array) != count:
        raise DataError(
            Message("{name} has {values} values for {rows} rows", name=name, values=len(array), rows=count),
            Message("give one value for each row of all parts"),
        )
    return array


def _join_rows(values: Sequence[Values]) -> tuple[str, ...] | None:
    if any(part.rows is None for part in values):
        return None
    return tuple(row for part in values for row in part.rows or ())


def _unique(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple({finding.cause: finding for finding in findings}.values())


def _folder_name(name: str) -> str:
    """Return a name that a folder may have.

    >>> _folder_name("my data!")
    'my-data'
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "data"
