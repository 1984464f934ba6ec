"""Rows of a memory-mapped file that memory may not hold: read before they are needed, many at a time.

A gather of rows that are not in memory waits for the disk row by row, and the system reads far more around each than is
wanted (up to 8 MiB, as disks are set up today). Told of them a batch before, it reads just these, all at once, while
the network works on the batch at hand.
"""

from __future__ import annotations

import contextlib
import mmap

import numpy as np
import torch

from yisheng.core import machine

PART = 0.5
"""A file that takes less than this part of the free memory comes to stay there by itself."""


class Ahead:
    """Tells the system which rows of a mapped block will be needed. It is made by `reader`.

    Args:
        x: the block ``(N, ...)``, its rows one after the other.
        mapped: the map that it lies in.
    """

    def __init__(self, x: np.ndarray, mapped: mmap.mmap) -> None:
        self._mapped, self._length = mapped, x.strides[0]
        self._first = x.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data

    def __call__(self, rows: torch.Tensor) -> None:
        """Have these rows read, and nothing around them until `done`."""
        starts = self._first + np.sort(rows.numpy()) * self._length
        pages = starts // mmap.PAGESIZE * mmap.PAGESIZE
        with contextlib.suppress(OSError):  # advice that cannot be taken: the gather reads them itself
            self._mapped.madvise(mmap.MADV_RANDOM)
            for page, end in zip(pages.tolist(), (starts + self._length).tolist(), strict=True):
                self._mapped.madvise(mmap.MADV_WILLNEED, page, end - page)

    def done(self) -> None:
        """Rows are read one after the other again."""
        with contextlib.suppress(OSError):
            self._mapped.madvise(mmap.MADV_NORMAL)


def reader(x: np.ndarray) -> Ahead | None:
    """What tells the system that some rows will be needed; None where there is no need, or no way.

    Args:
        x: the block ``(N, ...)``.

    >>> reader(np.zeros((2, 3))) is None
    True
    """
    mapped = getattr(x, "_mmap", None)
    if not isinstance(mapped, mmap.mmap) or not hasattr(mmap, "MADV_WILLNEED") or not x.flags.c_contiguous:
        return None
    memory = machine.memory()
    if memory is None or x.nbytes < PART * memory[1] or not len(x):
        return None
    return Ahead(x, mapped)
