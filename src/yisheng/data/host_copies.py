"""Rows that are copied from the host's memory to a GPU ahead of their use, for data that the GPU cannot hold.

The rows of the next batch are gathered into pinned memory, which the GPU reads by itself, and copied by a stream that
does not wait for the computation of the present one. The bytes are those of a plain copy.

Source: "CUDA semantics" of PyTorch's documentation, "Use pinned memory buffers" and "CUDA streams".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch


@dataclass
class _Buffer:
    """Memory of the host for the rows of a batch, and the event after which it may be overwritten."""

    values: torch.Tensor
    rows: torch.Tensor
    copied: torch.cuda.Event | None = None


@dataclass(frozen=True)
class PendingCopy:
    """A copy that has begun.

    Args:
        values: the rows ``(B, ...)``, on the device.
        rows: their numbers, int64 ``(B,)``, on the device.
        copied: the event after which they are complete; None on a CPU.
    """

    values: torch.Tensor
    rows: torch.Tensor
    copied: torch.cuda.Event | None


class HostCopies:
    """Copies of rows of a block to a device; two of them can be under way.

    Args:
        x: the block ``(N, ...)``, in the host's memory.
        device: a CUDA GPU; on a CPU the same steps are made without pinned memory and streams.
    """

    def __init__(self, x: torch.Tensor, device: torch.device) -> None:
        self._x, self._device = x, device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._buffers = [self._make_buffer(0), self._make_buffer(0)]

    def _make_buffer(self, rows: int) -> _Buffer:
        pinned = self._stream is not None and rows > 0
        values = torch.empty((rows, *self._x.shape[1:]), dtype=self._x.dtype, pin_memory=pinned)
        return _Buffer(values, torch.empty(rows, dtype=torch.int64, pin_memory=pinned))

    def begin(self, rows: torch.Tensor) -> PendingCopy:
        """Gather rows and begin to copy them.

        Args:
            rows: their numbers, int64 ``(B,)``, on the host.
        """
        count, buffer = len(rows), self._buffers.pop(0)
        if buffer.copied is not None:
            buffer.copied.synchronize()
        if len(buffer.rows) < count:
            buffer = self._make_buffer(count)
        self._buffers.append(buffer)
        values, numbers = buffer.values[:count], buffer.rows[:count]
        torch.index_select(self._x, 0, rows, out=values)
        numbers.copy_(rows)
        if self._stream is None:
            return PendingCopy(values.clone(), numbers.clone(), None)
        with torch.cuda.stream(self._stream):
            copies = [part.to(self._device, non_blocking=True) for part in (values, numbers)]
            buffer.copied = self._stream.record_event()
        return PendingCopy(copies[0], copies[1], buffer.copied)

    def finish(self, pending: PendingCopy) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rows and their numbers; the present stream waits for them, this process does not."""
        if pending.copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(pending.copied)
            for part in (pending.values, pending.rows):
                part.record_stream(stream)  # their memory belongs to the other stream
        return pending.values, pending.rows


def copy_ahead(
    copies: HostCopies, numbers: Iterable[int], select: Callable[[int], torch.Tensor]
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Yield the number, the values and the row numbers of each batch; the copy of the next one has begun by then.

    Args:
        copies: makes the copies.
        numbers: of the batches.
        select: returns the rows of a batch.

    >>> copies = HostCopies(torch.arange(6.0), torch.device("cpu"))
    >>> [values.tolist() for _, values, _ in copy_ahead(copies, range(2), lambda number: torch.tensor([number, 5]))]
    [[0.0, 5.0], [1.0, 5.0]]
    """
    pending: tuple[int, PendingCopy] | None = None
    for number in numbers:
        following = number, copies.begin(select(number))
        if pending is not None:
            yield pending[0], *copies.finish(pending[1])
        pending = following
    if pending is not None:
        yield pending[0], *copies.finish(pending[1])


def is_worth_copying_ahead(x: torch.Tensor, device: torch.device) -> bool:
    """Return whether the rows of a block are copied ahead: from the host to a CUDA GPU.

    >>> is_worth_copying_ahead(torch.zeros(3), torch.device("cpu"))
    False
    """
    return x.device.type == "cpu" and device.type == "cuda"
