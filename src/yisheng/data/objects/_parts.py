"""The part of each row, as a user gives it."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data.objects import _arrays

PART_NUMBERS = {
    "train": 0,
    "training": 0,
    "validation": 1,
    "valid": 1,
    "val": 1,
    "dev": 1,
    "test": 2,
    "testing": 2,
    "0": 0,
    "1": 1,
    "2": 2,
}
"""The words for each part."""


def read_parts(values: Any, count: int) -> np.ndarray:
    """Return the part of each row, int8 ``(N,)``: 0 train, 1 validation, 2 test.

    Args:
        values: names or numbers of the parts ``(N,)``.
        count: number of rows.

    Raises:
        DataError: there is another number of values, one is not a part, or no row is for training.

    >>> read_parts(["train", "val", "test", "train"], 4).tolist()
    [0, 1, 2, 0]
    """
    array = values if isinstance(values, np.ndarray) else _arrays.to_array(values, "part")
    words = [str(int(value)) if isinstance(value, float) else str(value) for value in array.reshape(-1).tolist()]
    if len(words) != count:
        raise DataError(
            Message("part has {values} values for {rows} rows", values=len(words), rows=count),
            Message("give the part of each row"),
        )
    unknown = sorted({word for word in words if word.strip().lower() not in PART_NUMBERS})
    if unknown:
        raise DataError(
            Message(
                "part must be train, validation or test (or 0, 1, 2), got {unknown}", unknown=", ".join(unknown[:5])
            ),
            Message("rename these parts"),
        )
    part = np.array([PART_NUMBERS[word.strip().lower()] for word in words], np.int8)
    if not (part == 0).any():
        raise DataError(Message("part leaves no rows for training"), Message("mark some rows with train"))
    return part
