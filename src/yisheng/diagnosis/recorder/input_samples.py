"""Rows of the inputs of training and of evaluation, few and small enough to be kept."""

from __future__ import annotations

import math

import torch

from yisheng.diagnosis.recorder.source_lines import find_call_path

MAX_BATCH_ROWS, MAX_ROW_VALUES = 32, 4096
"""Rows that are kept of a batch of training, and values of each row: more are thinned out."""
MAX_EVALUATED_ROWS, MIN_EVALUATED_ROWS = 256, 128
"""Rows that are kept of the passes of one place of the program, and those from which later evaluations add none."""
MAX_PLACES = 8
"""Places of the program that evaluate."""

Place = tuple[tuple[int, int], ...]


def thin_rows(x: torch.Tensor) -> torch.Tensor:
    """Return rows ``(B, ...)`` of at most about `MAX_ROW_VALUES` values each, as a view.

    Of images every second, third, ... pixel is kept; series and tables are cut off, since the distance of their
    samples means something.

    >>> thin_rows(torch.zeros(2, 3, 224, 224)).shape, thin_rows(torch.zeros(2, 16000)).shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2, 4096]))
    """
    values = math.prod(x.shape[1:])
    if values <= MAX_ROW_VALUES or x.ndim < 2:
        return x
    if x.ndim == 4:
        stride = math.ceil(math.sqrt(values / MAX_ROW_VALUES))
        return x[:, :, ::stride, ::stride]
    axis = max(range(1, x.ndim), key=lambda axis: x.shape[axis])
    return x.narrow(axis, 0, max(1, MAX_ROW_VALUES * x.shape[axis] // values))


def sample_batch(x: torch.Tensor) -> torch.Tensor:
    """Return a copy of some rows of a batch ``(B, ...)``, evenly distributed over it."""
    interval = -(-len(x) // MAX_BATCH_ROWS)
    return thin_rows(x.detach()[::interval]).clone()


class EvaluatedSamples:
    """Rows of the first evaluation of each place of the program, evenly distributed over its passes.

    The rows of a part are often sorted by class, so that those of its first batches would not stand for it.
    """

    def __init__(self) -> None:
        self._rows: dict[Place, list[torch.Tensor]] = {}
        self._intervals: dict[Place, int] = {}
        self._offsets: dict[Place, int] = {}
        self._first_step = 0
        self._is_complete = False

    def add(self, step: int, x: torch.Tensor) -> None:
        """Add the inputs of a pass without gradient.

        Args:
            step: updates made before, at least 1.
            x: the first input ``(B, ...)``.
        """
        if self._is_complete or x.ndim < 2 or not len(x):
            return
        self._first_step = self._first_step or step
        if step != self._first_step and any(_count(rows) >= MIN_EVALUATED_ROWS for rows in self._rows.values()):
            self._is_complete = True
            return
        place = find_call_path()
        if place not in self._rows:
            if len(self._rows) == MAX_PLACES:
                return
            self._rows[place], self._intervals[place], self._offsets[place] = [], 1, 0
        self._add_rows(place, x.detach())

    def _add_rows(self, place: Place, x: torch.Tensor) -> None:
        rows, interval, offset = self._rows[place], self._intervals[place], self._offsets[place]
        while len(x) > MAX_EVALUATED_ROWS * interval:
            interval *= 2
            rows[:] = [torch.cat(rows)[::2]] if rows else []
        self._offsets[place] = (offset - len(x)) % interval
        thinned = thin_rows(x[offset % interval :: interval])
        if rows and thinned.shape[1:] != rows[0].shape[1:]:
            return
        if len(thinned):
            rows.append(thinned.clone())
        if _count(rows) > MAX_EVALUATED_ROWS:
            rows[:] = [torch.cat(rows)[::2]]
            interval *= 2
        self._intervals[place] = interval

    def list_samples(self) -> list[torch.Tensor]:
        """Return the rows ``(N, ...)`` of each place of the program, in the order of their first passes."""
        return [torch.cat(rows) for rows in self._rows.values() if rows]


def _count(rows: list[torch.Tensor]) -> int:
    return sum(len(part) for part in rows)
