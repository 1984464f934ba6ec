"""What is read of one object, before it is encoded: arrays of inputs and targets, and what is known about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.input_spec import InputType
from yisheng.core.spec import Task

PartName = Literal["data", "validation", "test"]
"""The argument that an object was given as, for messages."""
Arrays = np.ndarray | tuple[np.ndarray, ...] | dict[str, np.ndarray]
"""Inputs as arrays: one, or several by position or by name."""
DEFAULT_MAX_ROWS = 10_000_000


@dataclass(frozen=True)
class Options:
    """The options of data in memory; see `yisheng.data.objects.in_memory.in_memory`."""

    target: tuple[str, ...] = ()
    task: Task | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    ids: bool | None = None
    sample_weight: Any = None
    group: Any = None
    time: Any = None
    part: Any = None
    id: str = ""
    drop: tuple[str, ...] = ()
    kinds: Any = ()
    workers: int = 0
    max_rows: int | None = None


class Encoders(NamedTuple):
    """How values of the training part become the arrays of the data set, for a stream.

    Args:
        inputs: from inputs of some rows to a block of the data set's form.
        targets: from their targets to targets of the data set's form.
    """

    inputs: Callable[[Arrays], np.ndarray]
    targets: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Values:
    """The rows of one object.

    Args:
        name: of the object, for messages and the run's folder.
        x: the inputs, each ``(N, ...)`` in a type that a data set can store.
        y: the targets ``(N, ...)`` as they were given.
        dtypes: types of the inputs that a network receives, in order.
        classes: names of the classes 0, 1, ..., if the object knows them.
        target: name of the target.
        sample_weight: weights ``(N,)``, or None.
        group: group of each row ``(N,)``, or None.
        time: time of each row ``(N,)``, or None.
        part: part of each row ``(N,)``, as the user gave it, or None.
        rows: names of the rows, or None.
        notes: what the user should know about the reading.
        settings: settings of the config that follow from the object, where the user chose nothing else.
        make_stream: returns what reads the rows again in each epoch, or None if they are always the same.
    """

    name: str
    x: Arrays
    y: np.ndarray
    dtypes: tuple[InputType, ...] = ()
    classes: tuple[str, ...] = ()
    target: str = "target"
    sample_weight: np.ndarray | None = None
    group: np.ndarray | None = None
    time: np.ndarray | None = None
    part: np.ndarray | None = None
    rows: tuple[str, ...] | None = None
    notes: tuple[Finding, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    make_stream: Callable[[Encoders], Any] | None = None

    def __len__(self) -> int:
        return len(self.y)


def make_note(cause: str, remedy: str, **evidence: Any) -> Finding:
    """Return a note of the reader."""
    return Finding("data in memory", "note", evidence, cause, remedy)


def make_warning(cause: str, remedy: str, **evidence: Any) -> Finding:
    """Return a warning of the reader."""
    return Finding("data in memory", "warning", evidence, cause, remedy)
