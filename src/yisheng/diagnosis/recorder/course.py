"""The course of a training: what was measured on rows that it did not update on, between its updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from yisheng.diagnosis.recorder.stopping_counters import StoppingCounter

REPORTED = "reported"
"""Key of the evaluations that the user reported with `validation`."""


@dataclass
class Evaluation:
    """One pass over rows without an update.

    Args:
        step: updates made before it.
        losses_before: training losses before it.
        rows: its rows so far.
        total: sum of the rows' losses, as a number or on the device.
        score: the score that the user reported, where larger is better; NaN without one.
    """

    step: int
    losses_before: int
    rows: int = 0
    total: torch.Tensor | float = 0.0
    score: float = math.nan

    @property
    def loss(self) -> float:
        """Return the mean loss; NaN if none is known."""
        return float(self.total) / self.rows if self.rows else math.nan


@dataclass
class Course:
    """The evaluations of a training by where in the program they are made.

    Args:
        series: the evaluations of each place, in order.
        ends_with_loaded_weights: whether the weights were changed after the first evaluation of the last ones.
        stopping_counters: counters of the program that had reached a patience at the end.
    """

    series: dict[object, list[Evaluation]] = field(default_factory=dict)
    ends_with_loaded_weights: bool = False
    stopping_counters: Sequence[StoppingCounter] = ()

    def add_batch(self, key: object, step: int, losses_before: int, loss: torch.Tensor | float, rows: int) -> None:
        """Add the mean loss of an evaluated batch.

        Args:
            key: where in the program it is evaluated.
            step: updates made before.
            losses_before: training losses before.
            loss: mean loss of the batch.
            rows: rows of the batch.
        """
        evaluations = self.series.setdefault(key, [])
        if not evaluations or evaluations[-1].step != step:
            evaluations.append(Evaluation(step, losses_before))
        evaluations[-1].total = evaluations[-1].total + loss * rows
        evaluations[-1].rows += rows

    def add_reported(self, step: int, losses_before: int, loss: float | None, score: float | None) -> None:
        """Add what the user measured on validation rows after some updates."""
        evaluation = Evaluation(step, losses_before, score=math.nan if score is None else score)
        if loss is not None:
            evaluation.total, evaluation.rows = loss, 1
        self.series.setdefault(REPORTED, []).append(evaluation)
