"""Choose the reader of an object, and read the parts that are given."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from typing import Any

import numpy as np

from yisheng.core import registry
from yisheng.core.dataset import Dataset
from yisheng.core.entry import Entry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.paths import find_data_reader, parse_path
from yisheng.data.objects import find_reader
from yisheng.data.objects._assemble import MemoryData, assemble
from yisheng.data.objects._values import Options, Values, make_note


def read_data(data: Any, validation: Any, test: Any, options: Options) -> MemoryData:
    """Return the data set of some objects.

    Args:
        data: the rows to train on, and to split if no other parts are given.
        validation: rows to validate on, or None: an object, or a file.
        test: rows to test on, likewise.
        options: the user's choices.

    Raises:
        DataError: an object cannot be read, or the parts do not fit one another.
        UsageError: nothing reads such an object, or an option does not fit it.
    """
    if isinstance(data, Dataset) and _is_complete(validation, test, options):
        return _join_datasets(data, validation, test)
    entry = find_reader(data)
    if entry.meta.get("makes") == "dataset":
        return MemoryData(entry.build(data, validation, test, options), {})
    train = _read(entry, data, options)
    part_options = replace(
        options, sample_weight=options.sample_weight if isinstance(options.sample_weight, str) else None
    )
    return assemble(
        train,
        None if validation is None else _read_part(validation, part_options, "validation"),
        None if test is None else _read_part(test, part_options, "test"),
        options,
    )


def _read(entry: Entry, value: Any, options: Options) -> Values:
    values: Values = entry.build(value, options)
    return values


def _read_part(value: Any, options: Options, name: str) -> Values:
    """Return the rows of another part; an object whose items are random is read once."""
    if isinstance(value, str | os.PathLike):
        value = _load_file(value, name)
    entry = find_reader(value)
    if entry.meta.get("makes") == "dataset":
        raise UsageError(
            Message("{name}= is a DataFrame, the data is not", name=name),
            Message("give the same kind of object for all parts"),
        )
    values = _read(entry, value, options)
    if values.make_stream is None:
        return replace(values, notes=())
    note = make_note(
        Message("{part}: the items of {name} are random; they are read once", part=name, name=values.name),
        Message("give one without changes"),
    )
    return replace(values, notes=(note,), make_stream=None)


def _load_file(path: str | os.PathLike[str], name: str) -> Dataset:
    reader, location = find_data_reader(str(parse_path(str(path), name)))
    dataset: Dataset = registry.find("data.datasets", reader).build(path=location)
    return dataset


def _is_complete(validation: Any, test: Any, options: Options) -> bool:
    """Return whether a data set is taken as it is, with parts of the same contract."""
    if options != Options():
        named = [field.name for field in fields(Options) if getattr(options, field.name) != field.default]
        raise UsageError(
            Message("{options} is not for a yisheng.Dataset", options=", ".join(named)),
            Message("change the data set itself"),
        )
    return all(part is None or isinstance(part, Dataset) for part in (validation, test))


def _join_datasets(data: Dataset, validation: Dataset | None, test: Dataset | None) -> MemoryData:
    parts = [(number, part) for number, part in ((1, validation), (2, test)) if part is not None]
    if not parts:
        return MemoryData(data, {})
    for _, part in parts:
        if part.spec != data.spec:
            raise DataError(
                Message(
                    "{name} and {other_name} have different specs: {description}, {other_description}",
                    name=part.name,
                    other_name=data.name,
                    description=part.spec.description,
                    other_description=data.spec.description,
                ),
                Message("build both with the same Spec, classes in the same order"),
            )
    counts = [len(data), *(len(part) for _, part in parts)]
    numbers = np.repeat([0, *(number for number, _ in parts)], counts).astype(np.int8)
    datasets = [data, *(part for _, part in parts)]
    weights = None
    if any(part.weight is not None for part in datasets):
        weights = np.concatenate([np.ones(len(p), np.float32) if p.weight is None else p.weight for p in datasets])
    joined = replace(
        data,
        x=np.concatenate([part.x for part in datasets]),
        y=np.concatenate([part.y for part in datasets]),
        part=numbers,
        weight=weights,
        rows=None,
        group=None,
        time=None,
    )
    return MemoryData(joined, {})
