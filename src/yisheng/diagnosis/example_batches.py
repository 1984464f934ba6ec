"""Batches for a short training: from tensors, from a DataLoader or from a run, with some rows held out."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch

from yisheng.core import nested
from yisheng.core.errors import UsageError
from yisheng.core.events import Batch
from yisheng.core.messages import Message

MAX_HELD_OUT_ROWS = 512
"""Rows to compute the loss of experiments on; at most a quarter of all."""
EXTRA_BATCHES = 8
"""Batches of a DataLoader to read in addition to one per step, for the held-out rows."""


def split_batches(data: Any, device: torch.device, steps: int) -> tuple[list[Batch], list[Batch]]:
    """Return batches to train on and batches to hold out.

    Args:
        data: inputs and targets ``(x, y)``, or an iterable of such pairs.
        device: where the batches are moved to.
        steps: updates that they are for.

    Raises:
        UsageError: the data has another form, or is empty.
    """
    if is_tensor_pair(data):
        batches = list(_shuffled_batches(*data))
    else:
        batches = [_pair_to_batch(pair) for pair in itertools.islice(_iterate(data), steps + EXTRA_BATCHES)]
    if not batches:
        raise UsageError(Message("the data is empty"), Message("give (x, y), or a DataLoader of such pairs"))
    moved = [nested.map_tensors(lambda tensor: tensor.to(device), batch.x) for batch in batches]
    return hold_out([Batch(x, b.y.to(device), b.index, None) for x, b in zip(moved, batches, strict=True)])


def hold_out(batches: list[Batch]) -> tuple[list[Batch], list[Batch]]:
    """Return batches to train on and the first ones held out: at most a quarter and `MAX_HELD_OUT_ROWS` rows."""
    rows, count = 0, 0
    for batch in batches[: len(batches) // 4]:
        if count and rows + len(batch) > MAX_HELD_OUT_ROWS:
            break
        rows, count = rows + len(batch), count + 1
    if count:
        return batches[count:], batches[:count]
    held_out = [_slice_batch(batch, slice(0, len(batch) // 4)) for batch in batches if len(batch) >= 4]
    return [_slice_batch(batch, slice(len(batch) // 4, None)) for batch in batches], held_out


@contextlib.contextmanager
def preserve_loader_generators(data: Any) -> Iterator[None]:
    """Restore the random generators that a DataLoader and its samplers draw from."""
    owners = [data, getattr(data, "sampler", None), getattr(getattr(data, "batch_sampler", None), "sampler", None)]
    generators = (getattr(owner, "generator", None) for owner in owners)
    unique = {id(generator): generator for generator in generators if isinstance(generator, torch.Generator)}
    states = [(generator, generator.get_state()) for generator in unique.values()]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


def is_tensor_pair(value: Any) -> bool:
    """Return whether a value is a pair of tensors."""
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(x, torch.Tensor) for x in value)


def _shuffled_batches(x: torch.Tensor, y: torch.Tensor) -> Iterator[Batch]:
    """Yield shuffled batches of the size that a config would choose."""
    if not len(x) or len(x) != len(y):
        raise UsageError(
            Message(
                "inputs and targets must have the same number of rows, got {count} and {count_2}",
                count=len(x),
                count_2=len(y),
            ),
            Message("give one target per row"),
        )
    size = min(128, max(16, 2 ** round(math.log2(max(len(x), 1) / 32))), len(x))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    for start in range(0, len(x) - size + 1, size):
        rows = order[start : start + size]
        yield Batch(x[rows], y[rows], rows)


def _iterate(data: Any) -> Iterator[Any]:
    try:
        return iter(data)
    except TypeError:
        raise UsageError(
            Message("data must be (x, y) or an iterable of batches, got {type_name}", type_name=type(data).__name__),
            Message("give a DataLoader"),
        ) from None


def _pair_to_batch(pair: Any) -> Batch:
    if not is_tensor_pair(pair):
        raise UsageError(
            Message("a batch must be a pair of tensors (x, y)"), Message("use yisheng.doctor around your own loop")
        )
    return Batch(pair[0], pair[1], torch.arange(len(pair[0])))


def _slice_batch(batch: Batch, rows: slice) -> Batch:
    weight = None if batch.weight is None else batch.weight[rows]
    return Batch(nested.take(batch.x, rows), batch.y[rows], batch.index[rows], weight)
