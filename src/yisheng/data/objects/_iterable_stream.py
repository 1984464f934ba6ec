"""The items of an iterable data set, read again in each epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yisheng.core.errors import DataError, YishengError
from yisheng.core.generator_states import GeneratorStates, preserve_generators, seed_generators
from yisheng.core.messages import Message
from yisheng.core.seeds import derive
from yisheng.data.objects._item_seeds import MAX_ERROR_LENGTH
from yisheng.data.objects._map_reader import ItemReader


@dataclass(frozen=True)
class IterableStream:
    """An iterable data set in its own order, under a seed derived from (seed, epoch).

    An epoch has as many items as were read first. If a pass over the data set ends before, the next one begins.

    Args:
        dataset: the data set.
        reader: makes blocks of the data set's form.
        count: number of items of an epoch.
    """

    dataset: Any
    reader: ItemReader
    count: int
    keeps_order: bool = True

    def read(
        self, batches: Sequence[np.ndarray], *, seed: int, epoch: int, start: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        """Yield inputs, targets and weights of each batch, from batch number ``start`` on; those before are skipped."""
        states = GeneratorStates.of_seed(derive(seed, "pass", epoch))
        items = iterate_passes(self.dataset, self.reader.name)
        for number, rows in enumerate(batches):
            with states.active():
                batch = list(itertools.islice(items, len(rows)))
                if number < start:
                    continue
            with preserve_generators():
                seed_generators(derive(seed, "collate", epoch, number))
                result: Any = self.reader.convert(batch, rows.tolist())
            yield result


def iterate_passes(dataset: Any, name: str) -> Iterator[Any]:
    """Yield the items of a data set, again and again.

    Raises:
        DataError: its code raised an error, or a pass yields nothing.
    """
    while True:
        count = 0
        for item in iterate_once(dataset, name):
            count += 1
            yield item
        if not count:
            raise DataError(
                Message("{name} yields nothing when it is iterated again", name=name),
                Message("return a new iterator from __iter__"),
            )


def iterate_once(dataset: Any, name: str) -> Iterator[Any]:
    """Yield the items of one pass.

    Raises:
        DataError: its code raised an error.
    """
    number = 0
    try:
        for item in dataset:
            yield item
            number += 1
    except YishengError:
        raise
    except Exception as error:
        message = " ".join(str(error).split())[:MAX_ERROR_LENGTH]
        raise DataError(
            Message(
                "item {number} of {name} cannot be read: {type_name}: {message}",
                number=number,
                name=name,
                type_name=type(error).__name__,
                message=message,
            ),
            Message("iterate over it to see where"),
        ) from error
