"""First batches of the first two evaluations of each place of the program, to compare what is evaluated each time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from yisheng.diagnosis.recorder.input_samples import MAX_PLACES, Place, thin_rows
from yisheng.diagnosis.recorder.source_lines import find_call_path

MAX_ROWS = 64
"""Rows that are kept of a batch."""


@dataclass
class RepeatedBatch:
    """The first inputs of two evaluations at one place of the program.

    Args:
        first: rows ``(n, ...)`` of the first batch of the first evaluation.
        evaluated: rows of all batches of the first evaluation.
        second: rows of the first batch of the second evaluation; None without one.
    """

    first: torch.Tensor
    evaluated: int
    second: torch.Tensor | None = None


class RepeatedEvaluations:
    """The first batches of the first two evaluations after an update.

    >>> evaluations = RepeatedEvaluations()
    >>> for step in (1, 1, 2, 3):
    ...     evaluations.add(step, torch.full((2, 1), float(step)))
    >>> batch = evaluations.list_batches()[0]
    >>> batch.first.tolist(), batch.evaluated, batch.second.tolist()
    ([[1.0], [1.0]], 4, [[2.0], [2.0]])
    """

    def __init__(self) -> None:
        self._batches: dict[Place, RepeatedBatch] = {}
        self._steps: list[int] = []
        self._is_complete = False

    def add(self, step: int, x: torch.Tensor) -> None:
        """Add the inputs of a pass without gradient.

        Args:
            step: updates made before, at least 1.
            x: the first input ``(B, ...)``.
        """
        if self._is_complete or x.ndim < 2 or not x.is_floating_point():
            return
        if step not in self._steps:
            if len(self._steps) == 2:
                self._is_complete = True
                return
            self._steps.append(step)
        place = find_call_path()
        batch = self._batches.get(place)
        if batch is None:
            if len(self._steps) == 1 and len(self._batches) < MAX_PLACES:
                self._batches[place] = RepeatedBatch(_copy(x), len(x))
        elif len(self._steps) == 1:
            batch.evaluated += len(x)
        elif batch.second is None:
            batch.second = _copy(x)

    def list_batches(self) -> list[RepeatedBatch]:
        """Return the batches of each place of the program."""
        return list(self._batches.values())


def _copy(x: torch.Tensor) -> torch.Tensor:
    return thin_rows(x.detach()[:MAX_ROWS]).clone()
