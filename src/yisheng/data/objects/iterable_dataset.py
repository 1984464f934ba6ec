"""Data sets that are iterated over."""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from yisheng.core.errors import DataError
from yisheng.core.generator_states import GeneratorStates, preserve_generators
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.data.objects._items import ItemRule, find_rule
from yisheng.data.objects._iterable_stream import IterableStream, iterate_once
from yisheng.data.objects._map_reader import ItemReader, RawBatch, collate_items
from yisheng.data.objects._probe import probe_passes
from yisheng.data.objects._read_map import FIRST_EPOCH, FIRST_SEED, ROWS_PER_BATCH, gather, to_values
from yisheng.data.objects._values import Encoders, Options, Values, make_note, make_warning

MAX_ITEMS = 1_000_000
"""Items that are read without ``max_rows=``: more are taken for endless."""


def _takes(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping | list | tuple) or inspect.isclass(value):
        return False
    data = sys.modules.get("torch.utils.data")
    if data is not None and isinstance(value, data.IterableDataset):  # it may have a length, too
        return True
    return hasattr(value, "__iter__") and not (hasattr(value, "__getitem__") and hasattr(value, "__len__"))


@register(takes=_takes)
def iterable_dataset(dataset: Any, options: Options) -> Values:
    """Read an iterable data set: its items are (x, y), or dicts.

    If two passes are equal it is read once. Otherwise each epoch is a pass of its own, in the order of the data set,
    and rows to validate on must be given with ``validation=``.
    """
    return read_iterable(dataset, options, name=type(dataset).__name__)


def read_iterable(
    dataset: Any,
    options: Options,
    *,
    name: str,
    collate: Callable[[list[Any]], Any] | None = None,
    batch: int = ROWS_PER_BATCH,
) -> Values:
    """Return the items of the first pass over a data set.

    Args:
        dataset: the data set.
        options: the user's choices; ``max_rows`` is the number of items to read.
        name: of the data set, for messages.
        collate: a function from a list of items to a batch, or None.
        batch: items per call of ``collate``.

    Raises:
        DataError: an item cannot be read, there are too many, or a second pass would be empty.
    """
    if isinstance(dataset, Iterator):
        raise DataError(
            Message("{name} is an iterator, which can be read only once", name=name),
            Message("give list(...) of it, or a torch IterableDataset whose __iter__ starts again"),
        )
    with preserve_generators():
        first = next(iterate_once(dataset, name), None)
        if first is None:
            raise DataError(Message("{name} yields no items", name=name), Message("yield (x, y) for each row"))
        rule = find_rule(first if collate is None else collate_items(collate, [first], name, [0]), options, name)
        repetition = probe_passes(lambda: _collate_each(iterate_once(dataset, name), collate, name), rule)
    raw = gather(_read_first(dataset, ItemReader(rule, name, collate), options.max_rows, batch), name, options.max_rows)
    notes = []
    if options.workers:
        notes.append(
            make_note(
                Message(
                    "{name} is iterated over in this process: workers={workers} is not used",
                    name=name,
                    workers=options.workers,
                ),
                Message("leave it out"),
            )
        )
    if repetition == "equal":
        notes.append(
            make_note(
                Message(
                    "two passes over {name} are equal: its {items} items are read once",
                    name=name,
                    items=f"{len(raw.y):,}",
                ),
                Message("shuffle in it for another order"),
            )
        )
        return to_values(raw, rule, name, notes, None)
    notes.append(
        make_note(
            Message(
                "two passes over {name} differ: each epoch is a pass of its own of {items} items, in its "
                "own order, under the run's seeds",
                name=name,
                items=f"{len(raw.y):,}",
            ),
            Message("shuffle in the data set"),
        )
    )
    if repetition == "own generator":
        notes.append(
            make_warning(
                Message(
                    "{name} draws from a generator of its own, which the run's seed does not reach: the "
                    "training cannot be repeated or resumed exactly",
                    name=name,
                ),
                Message("draw from torch's, NumPy's or Python's global generators"),
            )
        )
    make_stream = functools.partial(_make_stream, dataset, rule, name, collate, len(raw.y))
    return to_values(raw, rule, name, notes, make_stream)


def _make_stream(
    dataset: Any, rule: ItemRule, name: str, collate: Any, count: int, encoders: Encoders
) -> IterableStream:
    return IterableStream(dataset, ItemReader(rule, name, collate, encoders), count)


def _read_first(dataset: Any, reader: ItemReader, max_rows: int | None, batch: int) -> Iterator[RawBatch]:
    """Yield batches of the first pass, under seeds of its own."""
    states = GeneratorStates.of_seed(derive(FIRST_SEED, "pass", FIRST_EPOCH))
    items = itertools.islice(iterate_once(dataset, reader.name), max_rows)
    count = 0
    while True:
        with states.active():
            chunk = list(itertools.islice(items, batch))
            if not chunk:
                return
            result: Any = reader.convert(chunk, range(count, count + len(chunk)))
        count += len(chunk)
        if max_rows is None and count > MAX_ITEMS:
            raise DataError(
                Message(
                    "{name} yields more than {limit} items: it may be endless",
                    name=reader.name,
                    limit=f"{MAX_ITEMS:,}",
                ),
                Message("give max_rows=, the number of items of an epoch"),
            )
        yield result


def _collate_each(items: Iterator[Any], collate: Callable[[list[Any]], Any] | None, name: str) -> Iterator[Any]:
    if collate is None:
        return items
    return (collate_items(collate, [item], name, [number]) for number, item in enumerate(items))
