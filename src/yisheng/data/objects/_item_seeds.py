"""Reading items, and the seeds that they are read under."""

from __future__ import annotations

from typing import Any

from yisheng.core.errors import DataError, YishengError
from yisheng.core.messages import Message
from yisheng.core.seeds import derive

MAX_ERROR_LENGTH = 300


def item_seed(seed: int, epoch: int, row: int) -> int:
    """Return the seed under which a row is read in an epoch."""
    return derive(seed, "item", epoch, row)


def read_item(dataset: Any, row: int, name: str) -> Any:
    """Return an item of a map-style data set.

    Raises:
        DataError: its code raised an error.
    """
    try:
        return dataset[row]
    except YishengError:
        raise
    except Exception as error:
        raise item_error(name, row, error) from error


def item_error(name: str, row: int, error: Exception) -> DataError:
    """Return the error about a row that cannot be read."""
    message = " ".join(str(error).split())[:MAX_ERROR_LENGTH]
    return DataError(
        Message(
            "row {row} of {name} cannot be read: {type_name}: {message}",
            row=row,
            name=name,
            type_name=type(error).__name__,
            message=message,
        ),
        Message("call data[{row}] to see where", row=row),
    )
