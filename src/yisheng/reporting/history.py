"""``events.jsonl`` read back: the loss by step, the scores by epoch, in bounded memory.

A log is the file that most likely has scars: a killed run leaves a last line cut in two, a full disk
leaves worse. What can be read is kept, what cannot is counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from yisheng.core.errors import DataError
from yisheng.core.run_folder import RunFolder

STEPS = 2_000
EPOCHS = 5_000
LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Step:
    """One update, or the mean of several neighbors: number and learning rate of the last one, and the mean loss."""

    step: int
    loss: float
    lr: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch (from 1): mean training loss, validation scores (``loss`` among them), seconds so far."""

    step: int
    epoch: int
    loss: float
    scores: Mapping[str, float]
    seconds: float | None = None


@dataclass(frozen=True)
class History:
    """The steps and epochs of a run.

    Args:
        steps: in order, `STEPS` at most; of a longer run neighbours are averaged.
        epochs: in order, `EPOCHS` at most; of a longer run every second, fourth, ... is kept.
        damaged: lines that could not be read.
        cut: whether the last line was cut off, as a killed run leaves it.
    """

    steps: tuple[Step, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    damaged: int = 0
    cut: bool = False

    def scores(self) -> list[str]:
        """Return the names of the validation scores in the order in which they appear."""
        return list(dict.fromkeys(name for epoch in self.epochs for name in epoch.scores))

    def best_epoch(self, score: str, *, higher: bool) -> Epoch | None:
        """Return the epoch with the best value of a validation score, or None."""
        epochs = [e for e in self.epochs if math.isfinite(e.scores.get(score, math.nan))]
        return max(epochs, key=lambda e: e.scores[score] if higher else -e.scores[score], default=None)


def read_history(folder: Path) -> History:
    """Read the log of a run folder; return an empty history if there is no log.

    Args:
        folder: the run folder.

    Raises:
        DataError: the file is there but cannot be opened.
    """
    steps = ThinnedList[Step](STEPS, average_steps)
    epochs = ThinnedList[Epoch](EPOCHS, lambda group: group[-1])
    damaged, cut = 0, False
    for line, is_complete in _lines(folder / RunFolder.EVENTS):
        event = parse_event(line) if line is not None else None
        if isinstance(event, Step):
            steps.add(event)
        elif isinstance(event, Epoch):
            epochs.add(event)
        elif event is None and is_complete:
            damaged += 1
        cut = event is None and not is_complete
    return History(tuple(steps), tuple(epochs), damaged, cut)


def _lines(path: Path) -> Iterator[tuple[bytes | None, bool]]:
    """Yield each line (None for one of more than `LINE` bytes) and whether it ends with a newline."""
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a plain file", "take the file from where it was whole")
    try:
        with path.open("rb") as file:
            while line := file.readline(LINE):
                is_complete = line.endswith(b"\n")
                if not is_complete and len(line) == LINE:
                    while (is_continued := file.readline(LINE)) and not is_continued.endswith(b"\n"):
                        pass
                    yield None, is_continued.endswith(b"\n")
                elif line.strip():
                    yield line, is_complete
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "check the path and its permissions") from None


def parse_event(line: bytes) -> Step | Epoch | str | None:
    """Return the event of a line of the log; the name of an unknown kind of event, or None if it is not an event.

    >>> parse_event(b'{"event": "step", "step": 10, "loss": 0.5, "lr": 0.1}'), parse_event(b'{"event": "st')
    (Step(step=10, loss=0.5, lr=0.1), None)
    """
    try:
        return _event(json.loads(line))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None


def _event(record: Any) -> Step | Epoch | str:
    kind = record["event"]
    if kind == "step":
        return Step(_count(record["step"]), _number(record["loss"]), _number(record["lr"]))
    if kind == "epoch":
        scores = {str(name): _number(value) for name, value in record.get("scores", {}).items()}
        seconds = _number(record["seconds"]) if "seconds" in record else None
        return Epoch(_count(record["step"]), _count(record["epoch"]), _number(record["loss"]), scores, seconds)
    if not isinstance(kind, str):
        raise TypeError(kind)
    return kind


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise TypeError(value)
    return value


def _number(value: Any) -> float:
    """Return a float; NaN and infinity are written as text or null, as JSON does not have them."""
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
    """A list that halves itself when it is full, so that each entry stands for twice as many items."""

    limit: int
    merge: Callable[[list[T]], T]
    kept: list[T] = field(default_factory=list)
    waiting: list[T] = field(default_factory=list)
    stride: int = 1

    def add(self, item: T) -> None:
        """Add an event; one with an earlier step (from a resumed run) replaces the later ones."""
        while self.waiting and self.waiting[-1].step >= item.step:
            self.waiting.pop()
        while not self.waiting and self.kept and self.kept[-1].step >= item.step:
            self.kept.pop()
        self.waiting.append(item)
        if len(self.waiting) == self.stride:
            self.kept.append(self.merge(self.waiting))
            self.waiting.clear()
            if len(self.kept) == self.limit:
                self.kept = [self.merge(self.kept[i : i + 2]) for i in range(0, self.limit, 2)]
                self.stride *= 2

    def __iter__(self) -> Iterator[T]:
        yield from self.kept
        if self.waiting:
            yield self.merge(self.waiting)


def average_steps(group: list[Step]) -> Step:
    last = group[-1]
    return Step(last.step, math.fsum(s.loss for s in group) / len(group), last.lr)
