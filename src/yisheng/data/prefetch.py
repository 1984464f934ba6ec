"""Read-ahead for a memory-mapped block that is larger than the free memory.

A gather of rows that are not in memory waits for the disk row by row, and the system reads far more around each row
than is needed (up to 8 MiB, as disks are set up today). If it learns the rows one batch earlier, it reads just these,
all at once, while the network works on the current batch.
"""

from __future__ import annotations

import contextlib
import mmap

import numpy as np
import torch

from yisheng.core import machine

MIN_MEMORY_FRACTION = 0.5
"""A file that takes a smaller fraction of the free memory stays in memory after the first epoch."""


class Prefetcher:
    """Announces to the system which rows of a mapped block will be needed; see `make_prefetcher`.

    Args:
        x: the block ``(N, ...)``, its rows contiguous.
        mapped: the map that contains it.
    """

    def __init__(self, x: np.ndarray, mapped: mmap.mmap) -> None:
        self._mapped, self._row_bytes = mapped, x.strides[0]
        self._offset = x.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data

    def __call__(self, rows: torch.Tensor) -> None:
        """Start to read these rows, and nothing around them until `finish`."""
        starts = self._offset + np.sort(rows.numpy()) * self._row_bytes
        pages = starts // mmap.PAGESIZE * mmap.PAGESIZE
        with contextlib.suppress(OSError):  # a refused advice costs time only: the gather reads the rows itself
            self._mapped.madvise(mmap.MADV_RANDOM)
            for page, end in zip(pages.tolist(), (starts + self._row_bytes).tolist(), strict=True):
                self._mapped.madvise(mmap.MADV_WILLNEED, page, end - page)

    def finish(self) -> None:
        """Let the system read ahead sequentially again."""
        with contextlib.suppress(OSError):
            self._mapped.madvise(mmap.MADV_NORMAL)


def make_prefetcher(x: np.ndarray) -> Prefetcher | None:
    """Return a prefetcher for a block; None if the block fits in memory or the system takes no advice.

    Args:
        x: the block ``(N, ...)``.

    >>> make_prefetcher(np.zeros((2, 3))) is None
    True
    """
    mapped = getattr(x, "_mmap", None)
    if not isinstance(mapped, mmap.mmap) or not hasattr(mmap, "MADV_WILLNEED") or not x.flags.c_contiguous:
        return None
    memory = machine.memory_sizes()
    if memory is None or x.nbytes < MIN_MEMORY_FRACTION * memory[1] or not len(x):
        return None
    return Prefetcher(x, mapped)
