"""Memory of long columns, which goes back to the system as soon as a column is gone."""

from __future__ import annotations

import mmap
import sys

import numpy as np

MIN_MAPPED_BYTES = 1 << 20
"""Size from which an array's memory is mapped by itself."""


def allocate_column(count: int, dtype: np.dtype) -> np.ndarray:
    """Return an uninitialized array ``(count,)``.

    The memory of a large `numpy.empty` may stay with the process after the array is gone (`core.process.keep_memory`),
    where the columns of a table would stay next to the block that they are encoded into.

    Args:
        count: number of values.
        dtype: type of the values.

    >>> allocate_column(1 << 20, np.dtype(np.int32)).shape
    (1048576,)
    """
    nbytes = count * dtype.itemsize
    if nbytes < MIN_MAPPED_BYTES:
        return np.empty(count, dtype)
    if sys.platform == "win32":
        return np.frombuffer(mmap.mmap(-1, nbytes), dtype)
    # By default the memory would be shared with processes that are forked.
    return np.frombuffer(mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), dtype)
