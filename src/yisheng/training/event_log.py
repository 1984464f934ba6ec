"""The log of a training, ``events.jsonl``, and the callback that writes it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.events import EpochEnd, Event
from yisheng.core.messages import Message

SECONDS_BETWEEN_WRITES = 1.0


class EventLog:
    """``events.jsonl``, one line per event. Losses are read from their device when the lines are written.

    Args:
        path: the file.
        length: number of bytes to keep: lines that a killed run wrote after its checkpoint are cut off.

    Raises:
        DataError: the file is shorter than that, so it is not the log of this state.
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        self._pending: list[tuple[dict[str, Any], torch.Tensor | None]] = []
        try:
            self._file = path.open("ab", buffering=0)  # unbuffered: close() must not retry a failed write
            size = self._file.seek(0, os.SEEK_END)
            if size > length:
                self._file.truncate(length)
        except OSError as error:
            raise files.explain_write_error(error, path) from error
        if size < length:
            self._file.close()
            raise DataError(
                Message(
                    "{path} has {size} bytes, the checkpoint was written after {length}: a part of the log is missing",
                    path=path,
                    size=f"{size:,}",
                    length=f"{length:,}",
                ),
                Message("restore the file, or train again"),
            )

    def add(self, record: dict[str, Any], loss: torch.Tensor | None = None) -> None:
        """Add a line, to be written with the next `flush`."""
        self._pending.append((record, loss))

    def flush(self, *, sync: bool = False) -> int:
        """Write the pending lines; return the length of the file.

        Args:
            sync: wait until the lines are on the disk.

        Raises:
            StorageError: the disk is full.
        """
        lines = [
            json.dumps(record if loss is None else {**record, "loss": _json_number(float(loss))}, ensure_ascii=False)
            for record, loss in self._pending
        ]
        self._pending.clear()
        try:
            content = memoryview("".join(line + "\n" for line in lines).encode())
            while content:
                content = content[self._file.write(content) :]
            if sync:
                os.fsync(self._file.fileno())
            return self._file.tell()
        except OSError as error:
            raise files.explain_write_error(error, self.path) from error

    def close(self) -> None:
        """Write the pending lines and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()


def log_events(
    events: Iterator[Event], event_log: EventLog, *, interval: int, clock: Callable[[], float]
) -> Iterator[Event]:
    """Write every n-th step and every epoch to the log, about once a second.

    Args:
        events: the events of a training.
        event_log: the log.
        interval: steps between two lines.
        clock: seconds trained so far.
    """
    written_at = clock()
    for event in events:
        if isinstance(event, EpochEnd):
            event_log.add(
                {
                    "event": "epoch",
                    "step": event.step,
                    "epoch": event.epoch,
                    "loss": _json_number(event.loss),
                    "scores": {name: _json_number(value) for name, value in event.scores.items()},
                    "seconds": round(clock(), 3),
                }
            )
        elif event.step % interval == 0:
            seconds = round(clock(), 3)
            event_log.add(
                {"event": "step", "step": event.step, "epoch": event.epoch, "lr": event.lr, "seconds": seconds},
                event.loss,
            )
        if clock() - written_at > SECONDS_BETWEEN_WRITES:
            event_log.flush()
            written_at = clock()
        yield event


def _json_number(value: float) -> float | str:
    """Return the number, or text for NaN and infinity, which JSON does not have."""
    return value if math.isfinite(value) else str(value)
