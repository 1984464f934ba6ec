"""Batches of many models: the rows and the dropout masks of each serial training, gathered together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from yisheng.core import machine, nested
from yisheng.core.events import Batch
from yisheng.core.seeds import derive
from yisheng.data.batches import Batches
from yisheng.search.executors.stacked.layers import Mask, pad_columns
from yisheng.transforms.none import none

MIN_FREE_MEMORY_RATIO = 4
"""Scaled inputs are cached if the free memory is more than this many times their size."""


@dataclass(frozen=True)
class StackedBatch:
    """A batch of each of F streams.

    Args:
        x: inputs ``(F, B, ...)``.
        y: targets ``(F, B, ...)``.
        weight: sample weights ``(F, B)``, or None if all count the same.
        counts: number of samples of each stream; the rows after them are padding of weight 0.
    """

    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor | None
    counts: tuple[int, ...]


class StackedBatches:
    """The training batches of F streams.

    Args:
        parts: the batches of each stream, as in a serial training; all have the same number of batches.
        width: number of values to pad every input to with zeros; 0 if all inputs have the same shape.
    """

    def __init__(self, parts: Sequence[Batches], width: int = 0) -> None:
        self._parts, self._width = tuple(parts), width
        self._keys = tuple((part.seed, len(part.rows)) for part in parts)  # streams of one key see the same row order
        self._generators = {
            key: torch.Generator(part.device).manual_seed(derive(part.seed, "train"))
            for key, part in zip(self._keys, parts, strict=True)
        }
        self._cache = self._cache_rows() if self._fits_memory() else None

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return len(self._parts[0])

    def select(self, streams: Sequence[int]) -> None:
        """Keep only some of the streams."""
        self._parts = tuple(self._parts[f] for f in streams)
        self._keys = tuple(self._keys[f] for f in streams)
        if self._cache is not None:
            x, y, weight, starts = self._cache
            self._cache = (x, y, weight, tuple(starts[f] for f in streams))

    def epoch(self, epoch: int) -> Iterator[StackedBatch]:
        """Yield the shuffled batches of an epoch."""
        if self._cache is None:
            streams = (part.epoch(epoch) for part in self._parts)
            yield from (self._stack(batches) for batches in zip(*streams, strict=True))
            return
        x, y, weight, starts = self._cache
        orders = {key: order.epoch(epoch) for key, order in self._orders.items() if key in self._keys}
        for _ in range(len(self)):
            rows = {key: next(order).index for key, order in orders.items()}
            counts = tuple(len(rows[key]) for key in self._keys)
            indices = [_pad(rows[key], max(counts)) + start for key, start in zip(self._keys, starts, strict=True)]
            index = torch.cat(indices).to(x.device)
            shape = (len(counts), max(counts))
            sample_weight = None if weight is None else weight.index_select(0, index).view(shape)
            yield StackedBatch(
                x.index_select(0, index).unflatten(0, shape),
                y.index_select(0, index).unflatten(0, shape),
                _mask_padding(sample_weight, counts, x),
                counts,
            )

    def mask(self, counts: Sequence[int], models: int) -> Mask:
        """Return a function that draws the dropout masks of a step, as each serial training draws them.

        Args:
            counts: number of samples of each stream.
            models: number of models of each stream.
        """
        count_by_key = dict(zip(self._keys, counts, strict=True))
        keys = tuple(count_by_key)

        def mask(width: int, p: float, dtype: torch.dtype) -> torch.Tensor:
            masks = [
                _pad(
                    torch.empty(count_by_key[key], width, dtype=dtype, device=self._parts[0].device)
                    .bernoulli_(1 - p, generator=self._generators[key])
                    .div_(1 - p),
                    max(counts),
                )
                for key in keys
            ]
            if len(keys) == 1:
                return masks[0][None]
            return torch.stack([masks[keys.index(key)] for key in self._keys]).repeat_interleave(models, 0)

        return mask

    def _fits_memory(self) -> bool:
        """Return whether the scaled inputs fit into memory, and are the same in every epoch."""
        first = self._parts[0]
        rows = sum(len(part.rows) for part in {id(p.scale): p for p in self._parts}.values())
        memory = machine.memory_sizes()
        size = rows * math.prod(first.x.shape[1:]) * (8 if first.double else 4)
        return not first.augment and (memory is None or size < memory[1] / MIN_FREE_MEMORY_RATIO)

    def _cache_rows(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, tuple[int, ...]]:
        """Return all scaled rows, one part after the other, and the first row of each stream."""
        start_of_part: dict[tuple[int, bytes], int] = {}
        batches: list[Batch] = []
        starts, n = [], 0
        for part in self._parts:
            key = (id(part.scale), part.rows.cpu().numpy().tobytes())
            if key not in start_of_part:
                start_of_part[key] = n
                batches += list(part)
                n += len(part.rows)
            starts.append(start_of_part[key])
        self._orders = {
            (part.seed, len(part.rows)): Batches(
                torch.empty(len(part.rows), 0),
                torch.empty(len(part.rows), 0),
                torch.arange(len(part.rows)),
                part.size,
                none(),
                torch.device("cpu"),
                part.seed,
            )
            for part in self._parts
        }
        x = torch.cat([self._pad_columns(nested.only(batch.x)) for batch in batches])
        weights = [batch.weight for batch in batches if batch.weight is not None]
        return x, torch.cat([batch.y for batch in batches]), torch.cat(weights) if weights else None, tuple(starts)

    def _stack(self, batches: Sequence[Batch]) -> StackedBatch:
        counts = tuple(map(len, batches))
        x = [_pad(self._pad_columns(nested.only(batch.x)), max(counts)) for batch in batches]
        weights = [_pad(batch.weight, max(counts)) for batch in batches if batch.weight is not None]
        return StackedBatch(
            torch.stack(x),
            torch.stack([_pad(batch.y, max(counts)) for batch in batches]),
            _mask_padding(torch.stack(weights) if weights else None, counts, x[0]),
            counts,
        )

    def _pad_columns(self, x: torch.Tensor) -> torch.Tensor:
        return pad_columns(x, self._width) if self._width else x


def _pad(values: torch.Tensor, rows: int) -> torch.Tensor:
    """Return the tensor padded with copies of its first row up to a number of rows."""
    missing = rows - len(values)
    return torch.cat([values, values[:1].expand(missing, *values.shape[1:])]) if missing else values


def _mask_padding(weight: torch.Tensor | None, counts: Sequence[int], template: torch.Tensor) -> torch.Tensor | None:
    """Return the sample weights with 0 for rows of padding."""
    if len(set(counts)) == 1:
        return weight
    row = torch.arange(max(counts), device=template.device)
    is_sample = row < torch.tensor(counts, device=template.device)[:, None]
    return is_sample.to(template.dtype) if weight is None else weight * is_sample
