"""Reading ``events.jsonl``: the loss by step and the scores by epoch, in bounded memory.

A run that was killed leaves an incomplete last line, and a full disk may leave damaged lines. Readable lines are used,
damaged ones are counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.run_folder import RunFolder

MAX_STEPS = 2_000
MAX_EPOCHS = 5_000
MAX_LINE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Step:
    """One update, or several consecutive ones: the number and learning rate of the last one, and the mean loss."""

    step: int
    loss: float
    lr: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch, counted from 1: mean training loss, validation scores with ``loss``, seconds since the start."""

    step: int
    epoch: int
    loss: float
    scores: Mapping[str, float]
    seconds: float | None = None


@dataclass(frozen=True)
class History:
    """The steps and epochs of a run.

    Args:
        steps: in order, at most `MAX_STEPS`; in a longer run, consecutive steps are averaged.
        epochs: in order, at most `MAX_EPOCHS`; of a longer run, every second, fourth, ... epoch.
        damaged_lines: number of lines that could not be read.
        truncated: whether the last line is incomplete, as a killed run leaves it.
    """

    steps: tuple[Step, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    damaged_lines: int = 0
    truncated: bool = False

    def scores(self) -> list[str]:
        """Return the names of the validation scores in the order in which they appear."""
        return list(dict.fromkeys(name for epoch in self.epochs for name in epoch.scores))

    def best_epoch(self, score: str, *, higher: bool) -> Epoch | None:
        """Return the epoch with the best value of a validation score, or None."""
        epochs = [e for e in self.epochs if math.isfinite(e.scores.get(score, math.nan))]
        return max(epochs, key=lambda e: e.scores[score] if higher else -e.scores[score], default=None)


def read_history(folder: Path) -> History:
    """Read the log of a run folder; return an empty history if the file does not exist.

    Args:
        folder: the run folder.

    Raises:
        DataError: the file exists but cannot be opened.
    """
    steps = ThinnedList[Step](MAX_STEPS, average_steps)
    epochs = ThinnedList[Epoch](MAX_EPOCHS, lambda group: group[-1])
    damaged_lines, truncated = 0, False
    for line, is_complete in _read_lines(folder / RunFolder.EVENTS):
        event = parse_event(line) if line is not None else None
        if isinstance(event, Step):
            steps.add(event)
        elif isinstance(event, Epoch):
            epochs.add(event)
        elif event is None and is_complete:
            damaged_lines += 1
        truncated = event is None and not is_complete
    return History(tuple(steps), tuple(epochs), damaged_lines, truncated)


def _read_lines(path: Path) -> Iterator[tuple[bytes | None, bool]]:
    """Yield each line (None for one of more than `MAX_LINE_BYTES`) and whether it ends with a newline."""
    if path.exists() and not path.is_file():
        raise DataError(
            Message("{path} is not a plain file", path=path),
            Message("copy {name} from an intact run folder", name=path.name),
        )
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                is_complete = line.endswith(b"\n")
                if not is_complete and len(line) == MAX_LINE_BYTES:
                    while (chunk := file.readline(MAX_LINE_BYTES)) and not chunk.endswith(b"\n"):
                        pass
                    yield None, chunk.endswith(b"\n")
                elif line.strip():
                    yield line, is_complete
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=describe_os_error(error)),
            Message("check the path and its permissions"),
        ) from None


def parse_event(line: bytes) -> Step | Epoch | str | None:
    """Parse a line of the log; return the name of an unknown kind of event, and None if the line is not an event.

    >>> parse_event(b'{"event": "step", "step": 10, "loss": 0.5, "lr": 0.1}'), parse_event(b'{"event": "st')
    (Step(step=10, loss=0.5, lr=0.1), None)
    """
    try:
        return _parse_record(json.loads(line))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None


def _parse_record(record: Any) -> Step | Epoch | str:
    kind = record["event"]
    if kind == "step":
        return Step(_parse_count(record["step"]), _parse_number(record["loss"]), _parse_number(record["lr"]))
    if kind == "epoch":
        scores = {str(name): _parse_number(value) for name, value in record.get("scores", {}).items()}
        seconds = _parse_number(record["seconds"]) if "seconds" in record else None
        return Epoch(
            _parse_count(record["step"]), _parse_count(record["epoch"]), _parse_number(record["loss"]), scores, seconds
        )
    if not isinstance(kind, str):
        raise TypeError(kind)
    return kind


def _parse_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise TypeError(value)
    return value


def _parse_number(value: Any) -> float:
    """Return a float; NaN and infinity are stored as text or null, since JSON has neither."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if int(value) > 0 else -math.inf


T = TypeVar("T", Step, Epoch)


@dataclass
class ThinnedList(Generic[T]):
    """A list of bounded length: when it is full, neighboring entries are merged, so that each represents more items.

    Args:
        limit: the largest number of entries.
        merge: returns the entry for several consecutive items.
        merged: the entries.
        pending: items that do not fill an entry yet.
        stride: number of items per entry.
    """

    limit: int
    merge: Callable[[list[T]], T]
    merged: list[T] = field(default_factory=list)
    pending: list[T] = field(default_factory=list)
    stride: int = 1

    def add(self, item: T) -> None:
        """Add an event; if its step was added before (in a resumed run), that event and all later ones are replaced."""
        while self.pending and self.pending[-1].step >= item.step:
            self.pending.pop()
        while not self.pending and self.merged and self.merged[-1].step >= item.step:
            self.merged.pop()
        self.pending.append(item)
        if len(self.pending) == self.stride:
            self.merged.append(self.merge(self.pending))
            self.pending.clear()
            if len(self.merged) == self.limit:
                self.merged = [self.merge(self.merged[i : i + 2]) for i in range(0, self.limit, 2)]
                self.stride *= 2

    def __iter__(self) -> Iterator[T]:
        yield from self.merged
        if self.pending:
            yield self.merge(self.pending)


def average_steps(group: list[Step]) -> Step:
    """Return consecutive steps as one, with their mean loss and the number and learning rate of the last one."""
    return Step(group[-1].step, math.fsum(step.loss for step in group) / len(group), group[-1].lr)
