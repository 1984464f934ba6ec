"""Read a training log as it grows, thinned as the report thins it."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import Any

from yisheng.reporting.history import (
    MAX_EPOCHS,
    MAX_LINE_BYTES,
    MAX_STEPS,
    Epoch,
    Step,
    ThinnedList,
    average_steps,
    parse_event,
)

MAX_BYTES_PER_READ = 16 << 20
OVERLAP_BYTES = 64
"""Bytes before the position that are compared with the file: if they changed, the log was cut off and rewritten."""
_generations = itertools.count(1)


class LogTail:
    """The curves of a log that is still being written.

    While ``generation`` stays the same, the entries only grow at their end; with a new one they are different. It
    changes when the log was cut off (a resumed run), when steps go back, or when neighbors were averaged because the
    log became long.

    Args:
        path: ``events.jsonl`` of a run; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._restart()

    def _restart(self) -> None:
        self.generation = next(_generations)
        self.steps = ThinnedList[Step](MAX_STEPS, average_steps)
        self.epochs = ThinnedList[Epoch](MAX_EPOCHS, lambda group: group[-1])
        self.newest: Step | Epoch | None = None
        self._position, self._overlap, self._incomplete_line = 0, b"", b""

    def read(self) -> bool:
        """Read new lines, `MAX_BYTES_PER_READ` at most; return whether anything changed.

        A line without an end is left until its end is there.
        """
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(self._position - len(self._overlap))
                is_cut_off = size < self._position or file.read(len(self._overlap)) != self._overlap
                if is_cut_off:
                    self._restart()
                    file.seek(0)
                content = file.read(MAX_BYTES_PER_READ)
        except OSError:
            return False
        if not content:
            return is_cut_off
        self._position += len(content)
        self._overlap = (self._overlap + content[-OVERLAP_BYTES:])[-OVERLAP_BYTES:]
        *lines, self._incomplete_line = (self._incomplete_line + content).split(b"\n")
        if len(self._incomplete_line) > MAX_LINE_BYTES:
            self._incomplete_line = b"\0"  # not an event, however it ends
        strides = self.steps.stride, self.epochs.stride
        for line in lines:
            self._add(line)
        if strides != (self.steps.stride, self.epochs.stride):
            self.generation = next(_generations)
        return True

    def _add(self, line: bytes) -> None:
        if not line or len(line) > MAX_LINE_BYTES:
            return
        event = parse_event(line)
        if event is None or isinstance(event, str):
            return
        if self.newest is not None and event.step < self.newest.step:
            self.generation = next(_generations)
        self.newest = event
        if isinstance(event, Step):
            self.steps.add(event)
        else:
            self.epochs.add(event)

    @property
    def size(self) -> tuple[int, int, int]:
        """Return the generation, and the numbers of steps and epochs."""
        return self.generation, len(self.steps.merged), len(self.epochs.merged)

    def to_json(self, first_step: int = 0, first_epoch: int = 0) -> dict[str, Any]:
        """Return the entries from these indices on as plain data.

        ``steps`` are ``[step, loss, lr]``, ``epochs`` are ``[step, epoch, loss, scores, seconds]``.
        """
        return {
            "generation": self.generation,
            "from": [first_step, first_epoch],
            "steps": [[s.step, finite_or_none(s.loss), finite_or_none(s.lr)] for s in self.steps.merged[first_step:]],
            "epochs": [
                [
                    e.step,
                    e.epoch,
                    finite_or_none(e.loss),
                    {name: finite_or_none(score) for name, score in e.scores.items()},
                    finite_or_none(e.seconds),
                ]
                for e in self.epochs.merged[first_epoch:]
            ],
        }

    @property
    def epoch(self) -> int:
        """Return the number of finished epochs."""
        return self.epochs.merged[-1].epoch if self.epochs.merged else 0

    def progress(self, epochs: int | None) -> dict[str, Any]:
        """Return how far the run is.

        Args:
            epochs: of the whole training.

        Returns:
            ``step``, ``epoch``, ``progress`` (from 0 to 1), ``seconds`` of training so far, and ``remaining_seconds``
            at the same speed; None for what is not known yet. Empty before the first event.
        """
        if self.newest is None:
            return {}
        finished_epochs, step = self.epochs.merged, self.newest.step
        steps_per_epoch = next((e.step / e.epoch for e in finished_epochs if e.epoch), None)
        progress = min(1.0, step / (steps_per_epoch * epochs)) if steps_per_epoch and epochs else None
        timed = next((e for e in reversed(finished_epochs) if e.seconds and e.step), None)
        seconds = timed.seconds * step / timed.step if timed is not None and timed.seconds else None
        remaining = seconds * (1 - progress) / progress if seconds and progress else None
        return {
            "step": step,
            "epoch": self.epoch,
            "progress": progress,
            "seconds": finite_or_none(seconds),
            "remaining_seconds": finite_or_none(remaining),
        }


def finite_or_none(value: float | None) -> float | None:
    """Return a finite number or None: JSON has no NaN or infinity."""
    return value if value is not None and math.isfinite(value) else None
