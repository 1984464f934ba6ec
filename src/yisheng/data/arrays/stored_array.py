"""An array in a file, before its values are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message

MAX_BYTES = 4 << 30
"""Bytes of an array that is read; it is converted in memory."""
MAX_ARRAYS = 1000
TEXT = "text"
"""The type of an array of texts."""


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Args:
        shape: its shape.
        dtype: its type: ``uint8``, ``float32``, ``text``, ...
        read: reads its values.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]

    @property
    def is_text(self) -> bool:
        """Return whether it holds texts."""
        return self.dtype == TEXT

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape)) or 'a single value'} of {self.dtype}"


def require_size(name: str, shape: tuple[int, ...], itemsize: int) -> None:
    """Refuse an array that claims more bytes than are read.

    Raises:
        DataError: it does.
    """
    if math.prod(shape) * itemsize > MAX_BYTES:
        raise DataError(
            Message(
                "{name} holds {size} GiB, more than the {limit} that are read",
                name=name,
                size=f"{math.prod(shape) * itemsize / (1 << 30):,.1f}",
                limit=MAX_BYTES >> 30,
            ),
            Message("take a sample of its rows, or store bytes instead of floats"),
        )
