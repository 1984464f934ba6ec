"""Pipes: iterators of events in, the same events out. They watch or stop; they change nothing.

events = fit(state, train, valid, ...)
events = finite(events)
events = keep_best(events, state, ...)
for event in events: ...
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.types import Epoched, Event
from yisheng.training.state import Best, State


def keep_best(events: Iterator[Event], state: State, *, score: str, higher: bool) -> Iterator[Event]:
    """Keep a copy of the weights of the best epoch by validation score; without one, of the latest.

    Of epochs with the same score the one with the smallest validation loss is the best: on few rows many have the
    same accuracy, and the first of them is rarely the one that learnt most.

    Args:
        events: what happens.
        state: its ``best`` is kept up to date.
        score: which of the epoch's scores counts.
        higher: whether larger is better. A score that the rows do not define (NaN) counts as none.
    """
    for event in events:
        if isinstance(event, Epoched):
            value = event.scores.get(score)
            value = None if value is not None and math.isnan(value) else value
            loss = event.scores.get("loss", math.inf)
            tied = value is not None and value == state.best.value
            if _better(value, state.best.value, higher) or (tied and loss < state.best.loss):
                weights = {name: tensor.detach().clone() for name, tensor in state.model.state_dict().items()}
                state.best = Best(event.epoch, value, weights, loss)
        yield event


def stop_early(events: Iterator[Event], state: State, patience: int) -> Iterator[Event]:
    """End the run when ``patience`` epochs have passed since the best one (Prechelt, "Early stopping -
    but when?", 1998). Its memory is ``state.best``, so a continued run stops where it would have."""
    if state.position == 0 and state.epoch - state.best.epoch >= patience:
        return
    for event in events:
        yield event
        if isinstance(event, Epoched) and event.epoch - state.best.epoch >= patience:
            return


class Log:
    """``events.jsonl``, one line an event; losses are read from their device when lines are written.

    Args:
        path: the file.
        length: bytes of it that count; what a killed run wrote after its checkpoint is cut off.

    Raises:
        DataError: the file is shorter than that: it is not the log of this state.
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        self._waiting: list[tuple[dict[str, Any], torch.Tensor | None]] = []
        try:
            self._file = path.open("ab", buffering=0)  # a failed write must not be tried again by close()
            found = self._file.seek(0, os.SEEK_END)
            if found > length:
                self._file.truncate(length)
        except OSError as error:
            raise files.storage_error(error, path) from error
        if found < length:
            self._file.close()
            raise DataError(
                f"{path} has {found:,} bytes, the checkpoint was written after {length:,}: a part of the log is gone",
                "bring the file back, or train anew",
            )

    def add(self, record: dict[str, Any], loss: torch.Tensor | None = None) -> None:
        """Add a line, to be written with the next `flush`."""
        self._waiting.append((record, loss))

    def flush(self, *, sync: bool = False) -> int:
        """Write what waits; gives the length of the file.

        Args:
            sync: have it on the disk before going on.

        Raises:
            StorageError: the disk is full.
        """
        lines = [
            json.dumps(record if loss is None else {**record, "loss": _json_number(float(loss))}, ensure_ascii=False)
            for record, loss in self._waiting
        ]
        self._waiting.clear()
        try:
            content = memoryview("".join(line + "\n" for line in lines).encode())
            while content:
                content = content[self._file.write(content) :]
            if sync:
                os.fsync(self._file.fileno())
            return self._file.tell()
        except OSError as error:
            raise files.storage_error(error, self.path) from error

    def close(self) -> None:
        """Write what waits and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()


def log(events: Iterator[Event], to: Log, *, every: int, clock: Callable[[], float]) -> Iterator[Event]:
    """Write every n-th step and every epoch to the log, about once a second.

    Args:
        events: what happens.
        to: the log.
        every: steps between two lines.
        clock: seconds trained so far.
    """
    written = clock()
    for event in events:
        if isinstance(event, Epoched):
            scores = {name: _json_number(value) for name, value in event.scores.items()}
            to.add(
                {
                    "event": "epoch",
                    "step": event.step,
                    "epoch": event.epoch,
                    "loss": _json_number(event.loss),
                    "scores": scores,
                    "seconds": round(clock(), 3),
                }
            )
        elif event.step % every == 0:
            seconds = round(clock(), 3)
            to.add(
                {"event": "step", "step": event.step, "epoch": event.epoch, "lr": event.lr, "seconds": seconds},
                event.loss,
            )
        if clock() - written > 1:
            to.flush()
            written = clock()
        yield event


def checkpoint(events: Iterator[Event], save: Callable[[], object], *, every: float) -> Iterator[Event]:
    """Save the state every so many seconds, between two events.

    Args:
        events: what happens.
        save: writes the checkpoint.
        every: seconds between two; 0 saves after every step.
    """
    saved = time.monotonic()
    for event in events:
        yield event
        if time.monotonic() - saved >= every:
            save()
            saved = time.monotonic()


def _better(value: float | None, best: float | None, higher: bool) -> bool:
    """Unscored epochs replace one another until there is a score."""
    if value is None or best is None:
        return best is None
    return value > best if higher else value < best


def _json_number(value: float) -> float | str:
    """JSON has no NaN or infinity; they are written as text."""
    return value if math.isfinite(value) else str(value)
