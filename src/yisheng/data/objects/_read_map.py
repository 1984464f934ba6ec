"""Reading a map-style data set: once into a block, or again in each epoch if its items are random."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.generator_states import preserve_generators
from yisheng.core.messages import Message
from yisheng.data.objects._blocks import GrowingBlock
from yisheng.data.objects._item_seeds import read_item
from yisheng.data.objects._items import ItemRule, find_rule
from yisheng.data.objects._map_reader import ItemReader, RawBatch, collate_items, read_batches
from yisheng.data.objects._map_stream import MapStream
from yisheng.data.objects._probe import Repetition, probe_items
from yisheng.data.objects._progress import RowProgress
from yisheng.data.objects._values import Arrays, Encoders, Options, Values, make_note, make_warning

FIRST_SEED, FIRST_EPOCH = 0, -1
"""The first reading has seeds of its own, so that the data and its fingerprint do not depend on the run's seed."""
ROWS_PER_BATCH = 64


def read_map_style(
    dataset: Any,
    options: Options,
    *,
    name: str,
    classes: tuple[str, ...] = (),
    collate: Callable[[list[Any]], Any] | None = None,
    batch: int = ROWS_PER_BATCH,
) -> Values:
    """Return all rows of a data set with ``len`` and ``[row]``.

    Args:
        dataset: the data set.
        options: the user's choices.
        name: of the data set, for messages.
        classes: names of the classes, if the data set knows them.
        collate: a function from a list of items to a batch, or None.
        batch: items per call of ``collate``.

    Raises:
        DataError: an item cannot be read, or the items have different forms.
    """
    count = _count_rows(dataset, name)
    with preserve_generators():
        first = read_item(dataset, 0, name)
        rule = find_rule(first if collate is None else collate_items(collate, [first], name, [0]), options, name)
        repetition = probe_items(_make_read(dataset, name, collate), rule, count)
    reader = ItemReader(rule, name, collate)
    rows = [range(start, min(start + batch, count)) for start in range(0, count, batch)]
    batches = read_batches(dataset, reader, rows, seed=FIRST_SEED, epoch=FIRST_EPOCH, workers=options.workers)
    raw = gather(batches, name, count)
    notes = [*_describe_left_out(rule, name), _describe_way(repetition, name, raw, options.workers)]
    make_stream = None
    if repetition != "equal":
        make_stream = functools.partial(_make_stream, dataset, rule, name, collate, options.workers)
        notes += _warn_of_own_generator(repetition, name)
    return to_values(raw, rule, name, notes, make_stream, classes=classes)


def to_values(
    raw: RawBatch, rule: ItemRule, name: str, notes: Sequence[Finding], make_stream: Any, classes: tuple[str, ...] = ()
) -> Values:
    """Return what was read of the items of a data set."""
    return Values(
        name,
        raw.x,
        raw.y,
        classes=classes,
        target=rule.y if isinstance(rule.y, str) else "target",
        sample_weight=raw.weight,
        notes=tuple(notes),
        make_stream=make_stream,
    )


def gather(batches: Any, name: str, total: int | None) -> RawBatch:
    """Return all batches as one, memory-mapped above a limit; shows the progress of long readings.

    Raises:
        DataError: the batches have different shapes.
    """
    blocks: dict[Any, GrowingBlock] = {}
    form: Arrays | None = None
    count = 0
    with RowProgress(Message("reading {name}", name=name), total) as progress:
        for batch in batches:
            form = batch.x if form is None else form
            for key, array in _list_columns(batch):
                block = blocks.setdefault(key, GrowingBlock(name))
                block.append(_require_shape(array, block, key, name, count))
            count += len(batch.y)
            progress.update(len(batch.y))
    values = {key: block.finish() for key, block in blocks.items()}
    if form is None:
        raise DataError(Message("{name} has no rows", name=name), Message("give at least a few"))
    x: Arrays
    if isinstance(form, dict):
        x = {key: values["x", key] for key in form}
    elif isinstance(form, tuple):
        x = tuple(values["x", index] for index in range(len(form)))
    else:
        x = values["x", None]
    return RawBatch(x, values["y", None], values.get(("weight", None)))


def _list_columns(batch: RawBatch) -> list[tuple[Any, np.ndarray]]:
    columns: list[tuple[Any, np.ndarray]]
    if isinstance(batch.x, dict):
        columns = [(("x", key), value) for key, value in batch.x.items()]
    elif isinstance(batch.x, tuple):
        columns = [(("x", index), value) for index, value in enumerate(batch.x)]
    else:
        columns = [(("x", None), batch.x)]
    weight = [] if batch.weight is None else [(("weight", None), batch.weight)]
    return [*columns, (("y", None), batch.y), *weight]


def _require_shape(array: np.ndarray, block: GrowingBlock, key: Any, name: str, row: int) -> np.ndarray:
    if block.row_shape is not None and array.shape[1:] != block.row_shape:
        label = "the target" if key[0] == "y" else "the input"
        raise DataError(
            Message(
                "{label} of {name} has the shape {shape} from row {row} on, and {row_shape} before",
                label=label,
                name=name,
                shape=array.shape[1:],
                row=row,
                row_shape=block.row_shape,
            ),
            Message("bring all rows to one shape: pad or cut sequences, resize images"),
        )
    return array


def _count_rows(dataset: Any, name: str) -> int:
    try:
        count = len(dataset)
    except TypeError:
        raise DataError(
            Message("{name} has no length", name=name),
            Message("define __len__, or make it a torch IterableDataset with __iter__"),
        ) from None
    if not count:
        raise DataError(Message("{name} has no rows", name=name), Message("give at least a few"))
    return count


def _make_read(dataset: Any, name: str, collate: Callable[[list[Any]], Any] | None) -> Callable[[int], Any]:
    if collate is None:
        return lambda row: read_item(dataset, row, name)
    return lambda row: collate_items(collate, [read_item(dataset, row, name)], name, [row])


def _make_stream(dataset: Any, rule: ItemRule, name: str, collate: Any, workers: int, encoders: Encoders) -> MapStream:
    return MapStream(dataset, ItemReader(rule, name, collate, encoders), workers)


def _describe_left_out(rule: ItemRule, name: str) -> list[Finding]:
    if not rule.left_out:
        return []
    listed = ", ".join(rule.left_out)
    return [
        make_note(
            Message("{name}: text is left out ({listed})", name=name, listed=listed),
            Message("turn it into the ids of tokens to learn from it"),
        )
    ]


def _describe_way(repetition: Repetition, name: str, raw: RawBatch, workers: int) -> Finding:
    size = sum(array.nbytes for _, array in _list_columns(raw)) / 1e6
    if repetition == "equal":
        return make_note(
            Message(
                "{name} gives the same items each time: its {rows} rows are read once ({size} MB)",
                name=name,
                rows=f"{len(raw.y):,}",
                size=f"{size:,.1f}",
            ),
            Message("draw random numbers in __getitem__ if they should differ in each epoch"),
        )
    return make_note(
        Message(
            "{name} draws random numbers for its items: the training rows are read again in each epoch "
            "with workers={workers}, under the run's seeds; scores use the rows as they were read first",
            name=name,
            workers=workers,
        ),
        Message(
            "give validation= and test= without random changes; use workers=4 if reading takes longer than training"
        ),
    )


def _warn_of_own_generator(repetition: Repetition, name: str) -> list[Finding]:
    if repetition != "own generator":
        return []
    return [
        make_warning(
            Message(
                "{name} draws from a generator of its own, which the run's seed does not reach: the "
                "training depends on the number of workers and cannot be repeated or resumed exactly",
                name=name,
            ),
            Message("draw from torch's, NumPy's or Python's global generators in __getitem__"),
        )
    ]
