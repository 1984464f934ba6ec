"""Rows of a memory-mapped file that memory may not hold: read before they are needed, many at a time.

A gather of rows that are not in memory waits for the disk row by row, and the system reads far more around each than is
wanted. Told of them a batch before, it reads just these, all at once, while the network works on the batch at hand.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable

import numpy as np
import torch

from yisheng.core import machine

PART = 0.5
"""A file that takes less than this part of the free memory comes to stay there by itself."""


def reader(x: np.ndarray) -> Callable[[torch.Tensor], None] | None:
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
    first = x.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
    length, page = x.strides[0], mmap.PAGESIZE

    def ahead(rows: torch.Tensor) -> None:
        starts = first + np.sort(rows.numpy()) * length
        pieces = zip((starts // page * page).tolist(), (starts + length).tolist(), strict=True)
        with contextlib.suppress(OSError):  # advice that cannot be taken: the gather reads them itself
            for start, end in pieces:
                mapped.madvise(mmap.MADV_WILLNEED, start, end - start)

    return ahead
