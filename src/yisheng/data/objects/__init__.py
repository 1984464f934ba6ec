"""Data in memory: arrays, DataFrames, torch's data sets and loaders, Hugging Face's, as a `yisheng.Dataset`.

One file per kind of object: a function ``f(value, options) -> Values`` decorated with `register`, with ``takes``, a
predicate of the objects that it reads. A kind of object that becomes a data set without the common steps (a table) has
``makes="dataset"`` and is ``f(value, validation, test, options) -> Dataset``. `in_memory` lists the options.

A data set whose items are the same each time is read once into a block. One whose items are random is first read into a
block, which serves the splits, the scaling, validation, tests and the fingerprint, and then again in each epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yisheng.core.messages import Message

if TYPE_CHECKING:
    from yisheng.core.dataset import Dataset
    from yisheng.core.entry import Entry
    from yisheng.data.objects._assemble import MemoryData

KIND = "data.objects"
OPTIONS_OF = "in-memory"
"""Name of the component that lists the options."""
ACCEPTED = Message(
    "give (x, y), a dict with x and y, a DataFrame with target=, a torch Dataset or DataLoader, "
    "a Hugging Face Dataset, a yisheng.Dataset, or the name of a data set"
)


def to_dataset(data: Any, *, validation: Any = None, test: Any = None, **options: Any) -> Dataset:
    """Return a data set from an object in memory.

    Args:
        data: ``(x, y)`` or ``{"x": .., "y": ..}`` of arrays, tensors or lists, where x may be a tuple or dict of
            several inputs; a DataFrame with ``target=``; a torch ``Dataset``, ``IterableDataset`` or ``DataLoader``; a
            Hugging Face ``Dataset``; or a `yisheng.Dataset`.
        validation: rows to validate on, of the same kinds, or a file.
        test: rows to test on, likewise.
        **options: see `yisheng.data.objects.in_memory.in_memory`.

    Raises:
        DataError: the object cannot be read, or the parts do not fit one another.
        UsageError: nothing reads such an object, or an option is unknown or does not fit it.

    >>> data = to_dataset(([[1.0, 2.0], [3.0, 4.0]], ["cat", "dog"]))
    >>> data.spec.task, data.spec.classes, data.x.shape
    ('classification', ('cat', 'dog'), (2, 2))
    """
    return read_objects(data, validation=validation, test=test, **options).dataset


def read_objects(data: Any, *, validation: Any = None, test: Any = None, **options: Any) -> MemoryData:
    """Return what `to_dataset` returns, with the settings that follow from the objects.

    Raises:
        DataError: the object cannot be read, or the parts do not fit one another.
        UsageError: nothing reads such an object, or an option is unknown or does not fit it.
    """
    from yisheng.core import registry

    result: MemoryData = registry.build(KIND, OPTIONS_OF, data, validation, test, **options)
    return result


def find_reader(value: Any) -> Entry:
    """Return the entry that reads an object.

    Raises:
        UsageError: none does.
    """
    import inspect

    from yisheng.core import registry
    from yisheng.core.errors import UsageError

    readers = list(registry.entries(KIND, "takes"))
    readers.sort(key=lambda entry: "makes" not in entry.meta)  # a table of Hugging Face is one before it is rows
    for entry in readers if not inspect.isclass(value) else ():
        if entry.meta["takes"](value):
            return entry
    if inspect.isclass(value):
        raise UsageError(
            Message("data is the class {name}, not an object of it", name=value.__name__),
            Message("create one: data={name}(...)", name=value.__name__),
        )
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        raise UsageError(
            Message("data is one {type_name}: the targets are missing", type_name=type(value).__name__),
            Message("give (x, y)"),
        )
    raise UsageError(Message("data cannot be read from {type_name}", type_name=type(value).__name__), ACCEPTED)
