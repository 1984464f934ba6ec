"""Reading the items of a map-style data set in batches, in this process or in workers, each under its own seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from yisheng.core.errors import DataError, UsageError, YishengError
from yisheng.core.generator_states import preserve_generators, seed_generators
from yisheng.core.messages import Message
from yisheng.core.seeds import derive
from yisheng.data.objects._item_seeds import item_seed, read_item
from yisheng.data.objects._items import ItemRule
from yisheng.data.objects._values import Arrays, Encoders

IGNORED_WARNINGS = (".*use of fork.*", "This DataLoader will create", "Got pickle error")
"""Warnings while workers start: of Python about threads, of torch about the number of cores and before an error."""


class RawBatch(NamedTuple):
    """Inputs, targets and weights of some rows, as they are in the data set."""

    x: Arrays
    y: np.ndarray
    weight: np.ndarray | None


class Block(NamedTuple):
    """Inputs, targets and weights of some rows in the form of `yisheng.core.dataset.Dataset`, as tensors."""

    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor | None


class Failure(NamedTuple):
    """An error of a worker, whose own class could not be raised again in this process."""

    problem: str
    remedy: str


@dataclass(frozen=True)
class ItemReader:
    """How items become a batch.

    Args:
        rule: which parts of an item (of a collated batch) are what.
        name: of the data set, for messages.
        collate: the user's function from a list of items to a batch, or None.
        encoders: how the values become those of the data set; None to leave them as they are.
    """

    rule: ItemRule
    name: str
    collate: Callable[[list[Any]], Any] | None = None
    encoders: Encoders | None = None

    def convert(self, items: list[Any], rows: Sequence[int]) -> RawBatch | Block:
        """Return the batch of some items.

        Raises:
            DataError: an item has another form or shape than the others.
        """
        raw = self._collate(items, rows) if self.collate is not None else self._stack(items, rows)
        if self.encoders is None:
            return raw
        x, y = self.encoders.inputs(raw.x), self.encoders.targets(raw.y)
        weight = None if raw.weight is None else torch.from_numpy(raw.weight)
        return Block(torch.from_numpy(x), torch.from_numpy(y), weight)

    def _collate(self, items: list[Any], rows: Sequence[int]) -> RawBatch:
        assert self.collate is not None
        batch = collate_items(self.collate, items, self.name, rows)
        x, y, weight = self.rule.to_arrays(_with_tuples(batch), Message("a batch of {name}", name=self.name))
        if y.ndim == 0 or len(y) != len(items):
            raise DataError(
                Message(
                    "collate_fn of {name} returns targets of shape {shape} for {count} items",
                    name=self.name,
                    shape=y.shape,
                    count=len(items),
                ),
                Message("return one target for each item"),
            )
        return RawBatch(x, y, weight)

    def _stack(self, items: list[Any], rows: Sequence[int]) -> RawBatch:
        parts = [self.rule.to_arrays(item, f"row {row} of {self.name}") for item, row in zip(items, rows, strict=True)]
        x = _stack_inputs([part[0] for part in parts], rows, self.name)
        y = _stack_arrays([part[1] for part in parts], rows, Message("the target of {name}", name=self.name))
        weights = [part[2] for part in parts if part[2] is not None]
        return RawBatch(x, y, np.stack(weights).reshape(-1) if weights else None)


def collate_items(collate: Callable[[list[Any]], Any], items: list[Any], name: str, rows: Sequence[int]) -> Any:
    """Return what the user's function makes of some items.

    Raises:
        DataError: it raised an error.
    """
    try:
        return collate(items)
    except Exception as error:
        raise DataError(
            Message(
                "collate_fn of {name} failed on rows {first} to {last}: {type_name}: {error}",
                name=name,
                first=rows[0],
                last=rows[-1],
                type_name=type(error).__name__,
                error=error,
            ),
            Message("call it on a list of items to see where"),
        ) from error


def read_batches(
    dataset: Any, reader: ItemReader, batches: Sequence[Sequence[int]], *, seed: int, epoch: int, workers: int
) -> Iterator[Any]:
    """Yield what a reader makes of each batch of rows.

    Each item is read under a seed that is derived from (seed, epoch, row), so that the numbers do not depend on the
    order, the batch or the number of workers. The caller's generators are restored.

    Args:
        dataset: the map-style data set.
        reader: makes the batches.
        batches: row numbers of each batch.
        seed: of the run.
        epoch: number of the epoch.
        workers: number of processes; 0 for this one.

    Raises:
        DataError: an item cannot be read.
        UsageError: the data set cannot be sent to other processes.
    """
    items = _SeededItems(dataset, reader.name, seed, epoch)
    convert = _Converter(reader, seed, epoch)
    if workers == 0:
        for rows in batches:
            with preserve_generators():
                result = convert([items[row] for row in rows])
            yield _require_success(result)
        return
    for result in _iterate_loader(items, convert, batches, workers):
        yield _require_success(result)


def _iterate_loader(items: Any, convert: Any, batches: Sequence[Sequence[int]], workers: int) -> Iterator[Any]:
    iterator = _start_workers(items, convert, batches, workers)
    while True:
        try:
            result = next(iterator)
        except StopIteration:
            return
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-300:]
            raise DataError(
                Message("a worker that reads {name} ended: {reason}", name=items.name, reason=reason),
                Message('use workers=0, or put the call below if __name__ == "__main__" in a script'),
            ) from error
        yield result


def _start_workers(items: Any, convert: Any, batches: Sequence[Sequence[int]], workers: int) -> Any:
    """Return the iterator of a loader, whose workers run."""
    try:
        with warnings.catch_warnings():
            for message in IGNORED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            loader: Any = DataLoader(
                items,
                batch_sampler=[list(map(int, rows)) for rows in batches],
                num_workers=min(workers, len(batches)),
                collate_fn=convert,
                generator=torch.Generator(),  # else it would draw a number from the global one
            )
            return iter(loader)
    except Exception as error:  # an error of pickling, or of the data set's own code when it is sent
        raise UsageError(
            Message(
                "workers={workers}: {name} cannot be sent to other processes: {error}",
                workers=workers,
                name=items.name,
                error=error,
            ),
            Message("define its class and functions at the top of a module (no lambdas), or use workers=0"),
        ) from error


class _SeededItems(Dataset[Any]):
    """The data set with a seed for each item."""

    def __init__(self, dataset: Any, name: str, seed: int, epoch: int) -> None:
        self.dataset, self.name, self.seed, self.epoch = dataset, name, seed, epoch

    def __getitem__(self, row: int) -> Any:
        seed_generators(item_seed(self.seed, self.epoch, row))
        try:
            return row, read_item(self.dataset, row, self.name)
        except YishengError as error:
            return Failure(error.problem, error.remedy)


class _Converter:
    """A function from items to a batch, under a seed of its own."""

    def __init__(self, reader: ItemReader, seed: int, epoch: int) -> None:
        self.reader, self.seed, self.epoch = reader, seed, epoch

    def __call__(self, items: list[Any]) -> Any:
        for item in items:
            if isinstance(item, Failure):
                return item
        rows = [row for row, _ in items]
        seed_generators(derive(self.seed, "collate", self.epoch, rows[0]))
        try:
            return self.reader.convert([item for _, item in items], rows)
        except YishengError as error:
            return Failure(error.problem, error.remedy)


def _require_success(result: Any) -> Any:
    if isinstance(result, Failure):
        raise DataError(result.problem, result.remedy)
    return result


def _stack_inputs(inputs: Sequence[Arrays], rows: Sequence[int], name: str) -> Arrays:
    first = inputs[0]
    for value, row in zip(inputs, rows, strict=True):
        if _form(value) != _form(first):
            raise DataError(
                Message(
                    "row {row} of {name} has other inputs than row {first_row}", row=row, name=name, first_row=rows[0]
                ),
                Message("return the same form for every row"),
            )
    if isinstance(first, np.ndarray):
        return _stack_arrays([*map(_only_array, inputs)], rows, Message("the input of {name}", name=name))
    keys: list[Any] = list(first) if isinstance(first, dict) else list(range(len(first)))
    values: list[Any] = list(inputs)
    stacked = {key: _stack_arrays([value[key] for value in values], rows, f"input {key} of {name}") for key in keys}
    return stacked if isinstance(first, dict) else tuple(stacked.values())


def _with_tuples(batch: Any) -> Any:
    """Return a batch with a tuple of several inputs, of which torch's ``default_collate`` makes a list."""
    if not isinstance(batch, list | tuple) or not batch or not isinstance(batch[0], list):
        return batch
    is_several = bool(batch[0]) and all(isinstance(part, torch.Tensor) for part in batch[0])
    return (tuple(batch[0]), *batch[1:]) if is_several else batch


def _form(x: Arrays) -> Any:
    return set(x) if isinstance(x, dict) else len(x) if isinstance(x, tuple) else None


def _only_array(x: Arrays) -> np.ndarray:
    assert isinstance(x, np.ndarray)
    return x


def _stack_arrays(arrays: Sequence[np.ndarray], rows: Sequence[int], name: str) -> np.ndarray:
    first = arrays[0]
    for array, row in zip(arrays, rows, strict=True):
        if array.shape != first.shape:
            raise DataError(
                Message(
                    "{name} has the shape {shape} in row {row} and {first_shape} in row {first_row}",
                    name=name,
                    shape=array.shape,
                    row=row,
                    first_shape=first.shape,
                    first_row=rows[0],
                ),
                Message("bring all rows to one shape: pad or cut sequences, resize images"),
            )
    return np.stack(arrays)
