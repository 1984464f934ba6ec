"""Batches: index gathers from one block, augmented and scaled on the training device.

There is no Python per sample and no worker process: a batch is one `index_select`, the augmentations of the batch, and
one scaling. Rows that a user's own code makes at random are the exception: they are read by `Dataset.stream`.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch

from yisheng.core import machine, nested
from yisheng.core.dataset import Dataset, RowStream
from yisheng.core.errors import UsageError
from yisheng.core.events import Batch
from yisheng.core.input_spec import InputSpec
from yisheng.core.messages import Message
from yisheng.core.seeds import generator
from yisheng.data.host_copies import HostCopies, copy_ahead, is_worth_copying_ahead
from yisheng.data.prefetch import Prefetcher, make_prefetcher


class Transform(Protocol):
    """A fitted input or target transform."""

    def apply(self, x: Any) -> Any: ...


BLOCKS_TOGETHER = 64
"""Blocks whose rows are shuffled together."""
WINDOW_BYTES = 1 << 28
"""Of the rows that are shuffled together: they stay in memory while they are trained on."""
MIN_WINDOW_ROWS = 1024

Augment = Callable[[Any, torch.Tensor, torch.Generator], tuple[Any, torch.Tensor]]
"""Changes inputs and targets of a batch at random; see `yisheng.transforms.augment`."""


@dataclass(frozen=True)
class Batches:
    """Batches of the rows of one part.

    Args:
        x: the block ``(N, ...)``, on the training device if it fits there.
        y: targets ``(N, ...)``, transformed, on the training device.
        rows: row numbers of the part, int64 ``(n,)``, on the block's device.
        size: samples per batch. A last batch of one sample joins the previous one, because batch norm
            cannot normalize a single row.
        scale: the fitted input transform.
        device: the training device.
        seed: each epoch's order is derived from (seed, epoch), so any batch can be reproduced.
        weight: sample weights ``(N,)``, or None.
        augment: random changes of the shuffled batches, in this order, before scaling; their random numbers are
            derived from (seed, epoch, batch), so any batch can be reproduced.
        double: return inputs and real targets as float64; ids stay int64.
        inputs: what a row of the block holds, if there are several inputs.
        stream: what reads the shuffled batches, if the rows are random; the block then serves the evaluation.
        target_scale: the fitted transform of the targets that a stream reads.
        order: how the rows are shuffled in each epoch: all at random, or by `shuffle_blocks`.
        prefetcher: announces the rows of a batch before they are gathered; see `yisheng.data.prefetch`.

    >>> import numpy as np
    >>> from yisheng.transforms.none import none
    >>> part = Batches(torch.zeros(10, 2), torch.zeros(10, 1), torch.arange(9), 4, none(), torch.device("cpu"), 0)
    >>> [len(batch) for batch in part.epoch(0)], len(part)
    ([4, 5], 2)
    """

    x: torch.Tensor
    y: torch.Tensor
    rows: torch.Tensor
    size: int
    scale: Transform
    device: torch.device
    seed: int
    weight: torch.Tensor | None = None
    augment: tuple[Augment, ...] = ()
    double: bool = False
    prefetcher: Prefetcher | None = None
    inputs: tuple[InputSpec, ...] = ()
    stream: RowStream | None = None
    target_scale: Transform | None = None
    order: Literal["rows", "blocks"] = "rows"

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        n = self.rows.shape[0]
        return max(1, n // self.size) if n % self.size <= 1 else n // self.size + 1

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the shuffled batches of an epoch, from batch number ``start`` on."""
        if self.stream is not None:
            yield from self._read_stream(self.stream, epoch, start)
            return
        rows = self.shuffle_rows(epoch)
        numbers = self._prefetched(range(start, len(self)), rows)
        yield from self._gather_each(numbers, rows, epoch)

    def take(self, rows: torch.Tensor, epoch: int) -> Batch:
        """Return some rows as an epoch has them: with the augmentations of their batches in it.

        Args:
            rows: row numbers of the part ``(B,)``.
            epoch: from 0.
        """
        rows = rows.to(self.rows.device)
        if not self.augment:
            return self._gather(rows)
        order = self.shuffle_rows(epoch)
        sorted_rows, positions = order.sort()
        positions = positions[torch.searchsorted(sorted_rows, rows)]
        numbers = (positions // self.size).clamp_max(len(self) - 1)
        parts: list[Batch] = []
        places: list[torch.Tensor] = []
        for number in numbers.unique().tolist():
            selected = (numbers == number).nonzero()[:, 0]
            batch = self._gather(order[self.bounds(number)], epoch, number)
            inside = (positions[selected] - number * self.size).to(batch.index.device)
            weight = None if batch.weight is None else batch.weight[inside]
            parts.append(Batch(nested.take(batch.x, inside), batch.y[inside], batch.index[inside], weight))
            places.append(selected.to(batch.index.device))
        back = torch.cat(places).argsort()
        x = nested.take(nested.concatenate([part.x for part in parts]), back)
        y, index = (torch.cat([getattr(part, name) for part in parts])[back] for name in ("y", "index"))
        weights = [part.weight for part in parts if part.weight is not None]
        return Batch(x, y, index, torch.cat(weights)[back] if weights else None)

    def __iter__(self) -> Iterator[Batch]:
        """Yield all batches in the order of the rows, for evaluation."""
        numbers = self._prefetched(range(len(self) if len(self.rows) else 0), self.rows)
        yield from self._gather_each(numbers, self.rows)

    def _gather_each(self, numbers: Iterator[int], rows: torch.Tensor, *epoch: int) -> Iterator[Batch]:
        """Yield a batch for each number, ahead of its use if that saves time; the batches are the same."""

        def draw_key(number: int) -> tuple[int, ...]:
            return (*epoch, number) if epoch else ()

        if not is_worth_copying_ahead(self.x, self.device):
            for number in numbers:
                yield self._gather(rows[self.bounds(number)], *draw_key(number))
            return
        copies = HostCopies(self.x, self.device)
        for number, block, index in copy_ahead(copies, numbers, lambda number: rows[self.bounds(number)]):
            yield self._complete(block, index, *draw_key(number))

    def _prefetched(self, numbers: range, rows: torch.Tensor) -> Iterator[int]:
        """Yield the same batch numbers, and announce each batch's rows to the prefetcher one batch earlier."""
        if self.prefetcher is None:
            yield from numbers
            return
        try:
            for number in numbers:
                for upcoming in (number, number + 1) if number == numbers.start else (number + 1,):
                    if upcoming < numbers.stop:
                        self.prefetcher(rows[self.bounds(upcoming)])
                yield number
        finally:
            self.prefetcher.finish()

    def bounds(self, number: int) -> slice:
        """Return where the rows of a batch are in the order of an epoch."""
        is_last = number == len(self) - 1
        return slice(number * self.size, self.rows.shape[0] if is_last else (number + 1) * self.size)

    def shuffle_rows(self, epoch: int) -> torch.Tensor:
        """Return the row numbers in the order of an epoch."""
        draw = generator(self.seed, "order", epoch)
        if self.order == "blocks":
            row_bytes = self.x.element_size() * math.prod(self.x.shape[1:])
            order = shuffle_blocks(len(self.rows), row_bytes, draw)
        else:
            order = torch.randperm(len(self.rows), generator=draw)
        return self.rows[order.to(self.rows.device)]

    def _read_stream(self, stream: RowStream, epoch: int, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch whose rows are read again."""
        rows = self.rows if stream.keeps_order else self.shuffle_rows(epoch)
        batches = [rows[self.bounds(number)] for number in range(len(self))]
        blocks = stream.read([batch.cpu().numpy() for batch in batches], seed=self.seed, epoch=epoch, start=start)
        for number, (block, y, weight) in enumerate(blocks, start):
            if self.target_scale is not None:
                y = self.target_scale.apply(y)
            if weight is None and self.weight is not None:
                weight = self.weight.index_select(0, batches[number].to(self.device))
            index = batches[number].to(self.device)
            parts = block.to(self.device), y.to(self.device), None if weight is None else weight.to(self.device)
            yield self._make_batch(*parts, index, epoch, number)

    def _gather(self, rows: torch.Tensor, *draw_key: int) -> Batch:
        return self._complete(self.x.index_select(0, rows).to(self.device), rows.to(self.device), *draw_key)

    def _complete(self, block: torch.Tensor, rows: torch.Tensor, *draw_key: int) -> Batch:
        """Return the batch of some rows of the block, all on the training device."""
        y = self.y.index_select(0, rows)
        weight = None if self.weight is None else self.weight.index_select(0, rows)
        return self._make_batch(block, y, weight, rows, *draw_key)

    def _make_batch(
        self, block: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None, rows: torch.Tensor, *draw_key: int
    ) -> Batch:
        """Return a batch, augmented if it has a key to draw by, and scaled."""
        x = nested.unpack(block, self.inputs) if self.inputs else block
        if draw_key and self.augment:
            rng = generator(self.seed, "augment", *draw_key)
            for change in self.augment:
                x, y = change(x, y, rng)
        if self.double:
            x, y = nested.to_double(x), y.double() if y.is_floating_point() else y
            weight = None if weight is None else weight.double()
        x = self.scale.apply(x)
        return Batch(nested.to_contiguous(x if self.double else nested.to_single(x)), y, rows, weight)


def shuffle_blocks(rows: int, row_bytes: int, draw: torch.Generator) -> torch.Tensor:
    """Return an order of rows in which those that are read at about the same time are neighbors.

    Blocks of neighboring rows are shuffled, then the rows of each `BLOCKS_TOGETHER` blocks that follow one another. Up
    to `WINDOW_BYTES` of rows are one such group, so their order is random as that of single rows.

    Args:
        rows: number of rows N.
        row_bytes: bytes of a row in the block.
        draw: the generator of the epoch.

    Returns:
        int64 ``(N,)``, each row once. It depends on these arguments alone, not on where the rows are.

    >>> order = shuffle_blocks(10_000, 1 << 20, torch.Generator().manual_seed(0))
    >>> sorted(order.tolist()) == list(range(10_000)), len(set((order[:256] // 16).tolist()))
    (True, 64)
    """
    size = max(MIN_WINDOW_ROWS, WINDOW_BYTES // max(1, row_bytes)) // BLOCKS_TOGETHER
    window = size * BLOCKS_TOGETHER
    blocks = torch.randperm(-(-rows // size), generator=draw)
    order = (blocks[:, None] * size + torch.arange(size)).flatten()
    order = order[order < rows]
    for start in range(0, rows, window):
        group = order[start : start + window]
        order[start : start + window] = group[torch.randperm(len(group), generator=draw)]
    return order


def make_batches(
    dataset: Dataset,
    rows: np.ndarray,
    *,
    size: int,
    scale: Transform,
    target_scale: Transform | None,
    device: torch.device,
    seed: int,
    augment: tuple[Augment, ...] = (),
    double: bool = False,
    training: bool = False,
    order: Literal["rows", "blocks"] = "rows",
) -> Batches:
    """Return the batches of some rows of a data set.

    Args:
        dataset: the data.
        rows: row numbers of the part ``(n,)``.
        size: samples per batch.
        scale: the fitted input transform.
        target_scale: the fitted target transform, or None.
        device: the training device. The whole block is moved there if it takes less than half of
            the free memory; otherwise each batch is gathered on the host, and copied ahead to a CUDA GPU.
        seed: determines the order of the rows in each epoch, and the augmentations.
        augment: random changes of the shuffled batches.
        double: return inputs and real targets as float64.
        training: whether the rows are trained on: random rows are then read again in each epoch.
        order: how the rows are shuffled.

    Raises:
        UsageError: the rows have an order of their own, and these are not all of them.
    """
    stream = dataset.stream if training else None
    if stream is not None and stream.keeps_order:
        _require_all_rows(dataset, rows)
    x, y = _move_block(dataset.x, device), nested.from_numpy(dataset.y)
    if target_scale is not None:
        y = target_scale.apply(y)
    if not double and y.dtype is torch.float64:
        y = y.float()
    weight = None if dataset.weight is None else nested.from_numpy(dataset.weight).to(device)
    on_host = x.device.type == "cpu"
    return Batches(
        x,
        y.to(device),
        nested.from_numpy(rows).to(x.device),
        size,
        scale,
        device,
        seed,
        weight,
        augment,
        double,
        make_prefetcher(dataset.x) if on_host else None,
        dataset.spec.inputs,
        stream,
        target_scale,
        order,
    )


def _require_all_rows(dataset: Dataset, rows: np.ndarray) -> None:
    part = np.zeros(len(dataset), np.int8) if dataset.part is None else dataset.part
    if not np.array_equal(rows, np.flatnonzero(part == 0)):
        raise UsageError(
            Message("{name} is iterated over in its own order: no rows can be held out of it", name=dataset.name),
            Message(
                "give rows to validate and test on with validation= and test=, or test=0; folds are not possible",
            ),
        )


def _move_block(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return the block on the training device, shared by all parts and trainings; on the host if it does not fit."""
    x = nested.from_numpy(values)
    if device.type == "cpu":
        return x
    cached = _moved.get((id(values), str(device)))
    moved = cached[1]() if cached is not None and cached[0]() is values else None
    if moved is None:
        if not _fits(x, device):
            return x
        moved = x.to(device)
        for key in [key for key, (_, tensor) in _moved.items() if tensor() is None]:
            del _moved[key]
        _moved[id(values), str(device)] = weakref.ref(values), weakref.ref(moved)
    return moved


_moved: dict[tuple[int, str], tuple[weakref.ref[np.ndarray], weakref.ref[torch.Tensor]]] = {}
"""Blocks on other devices that are still in use, by array and device."""


def _fits(x: torch.Tensor, device: torch.device) -> bool:
    if device.type == "cuda":
        return x.nbytes < torch.cuda.mem_get_info(device)[0] / 2
    memory = machine.memory_sizes()  # such a device (MPS) shares the processor's memory
    return memory is None or x.nbytes < memory[1] / 2
