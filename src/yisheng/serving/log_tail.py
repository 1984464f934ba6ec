"""A log that is read as it grows, thinned as the report thins it."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import Any

from yisheng.reporting.history import EPOCHS, LINE, STEPS, Bounded, Epoch, Step, event_of, mean_of

AT_ONCE = 16 << 20
"""Bytes that are read in one look."""
OVERLAP = 64
"""Bytes before the place where reading stopped; where they changed, the log was cut off and written anew."""
_generations = itertools.count(1)


class Tail:
    """The curves of a log, so far as it is written.

    What is kept only grows at its end while ``generation`` stays the same; who knows another one begins anew. It
    changes when the log was cut off (a continued run), goes back, or became so long that neighbours were averaged.

    Args:
        path: ``events.jsonl`` of a run; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._restart()

    def _restart(self) -> None:
        self.generation = next(_generations)
        self.steps = Bounded[Step](STEPS, mean_of)
        self.epochs = Bounded[Epoch](EPOCHS, lambda group: group[-1])
        self.last: Step | Epoch | None = None
        self._at, self._before, self._rest = 0, b"", b""

    def read(self) -> bool:
        """Read what is new, `AT_ONCE` bytes at most; gives whether there was anything.

        A last line without an end is left until its end is there.
        """
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(self._at - len(self._before))
                cut = size < self._at or file.read(len(self._before)) != self._before
                if cut:
                    self._restart()
                    file.seek(0)
                content = file.read(AT_ONCE)
        except OSError:
            return False
        if not content:
            return cut
        self._at += len(content)
        self._before = (self._before + content[-OVERLAP:])[-OVERLAP:]
        *lines, self._rest = (self._rest + content).split(b"\n")
        if len(self._rest) > LINE:
            self._rest = b"\0"  # with whatever end, it is no event
        strides = self.steps.stride, self.epochs.stride
        for line in lines:
            self._take(line)
        if strides != (self.steps.stride, self.epochs.stride):
            self.generation = next(_generations)
        return True

    def _take(self, line: bytes) -> None:
        if not line or len(line) > LINE:
            return
        event = event_of(line)
        if event is None or isinstance(event, str):
            return
        if self.last is not None and event.step < self.last.step:
            self.generation = next(_generations)
        self.last = event
        if isinstance(event, Step):
            self.steps.add(event)
        else:
            self.epochs.add(event)

    @property
    def size(self) -> tuple[int, int, int]:
        """Generation, and how many steps and epochs are kept."""
        return self.generation, len(self.steps.kept), len(self.epochs.kept)

    def points(self, steps: int = 0, epochs: int = 0) -> dict[str, Any]:
        """What is kept from these entries on, as plain data.

        ``steps`` are ``[step, loss, lr]``, ``epochs`` are ``[step, epoch, loss, scores, seconds]``.
        """
        return {
            "generation": self.generation,
            "from": [steps, epochs],
            "steps": [[s.step, number(s.loss), number(s.lr)] for s in self.steps.kept[steps:]],
            "epochs": [
                [e.step, e.epoch, number(e.loss), {k: number(v) for k, v in e.scores.items()}, number(e.seconds)]
                for e in self.epochs.kept[epochs:]
            ],
        }

    def progress(self, epochs: int | None) -> dict[str, Any]:
        """How far the run is.

        Args:
            epochs: that were asked for.

        Returns:
            ``step``, ``epoch``, ``done`` (from 0 to 1), ``seconds`` trained, and ``left`` of them at the same speed;
            None where it is not known yet.
        """
        if self.last is None:
            return {}
        kept, step = self.epochs.kept, self.last.step
        per_epoch = next((e.step / e.epoch for e in kept if e.epoch), None)
        done = min(1.0, step / (per_epoch * epochs)) if per_epoch and epochs else None
        timed = next((e for e in reversed(kept) if e.seconds and e.step), None)
        seconds = timed.seconds * step / timed.step if timed is not None and timed.seconds else None
        left = seconds * (1 - done) / done if seconds and done else None
        reached = kept[-1].epoch if kept else 0
        return {"step": step, "epoch": reached, "done": done, "seconds": number(seconds), "left": number(left)}


def number(value: float | None) -> float | None:
    """JSON has no NaN or infinity: there is a gap instead."""
    return value if value is not None and math.isfinite(value) else None
