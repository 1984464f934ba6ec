"""The margin of every training row during the training, and what the network predicted before it knew the row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from yisheng.core.events import Batch
from yisheng.core.spec import Spec
from yisheng.diagnosis.sample import HeldOutPredictions
from yisheng.evaluation.predictions import apply_link
from yisheng.training.loop import Loss, Step
from yisheng.training.setup import Assembly
from yisheng.training.state import State

MAX_VALUES = 50_000_000
"""Rows times classes that are kept."""
MIN_EPOCHS_OF_ROW = 1


class RowMargins:
    """Record outputs of training rows, each before the update on its row; the update computes as it does.

    The margin of a row is the score of its label minus the largest other score; its mean over all epochs is the area
    under the margin. The probabilities are means over the epochs up to the best validation score: correct labels are
    learned first, and wrong ones are memorized later. In the first epoch no row has been trained on.

    Args:
        spec: the contract of the data.
        rows: number of rows of the data set.

    Source: Pleiss et al., "Identifying mislabeled data using the area under the margin ranking", 2020, section 3; Liu
    et al., "Early-learning regularization prevents memorization of noisy labels", 2020, section 3.
    """

    def __init__(self, spec: Spec, rows: int) -> None:
        classes = len(spec.classes)
        self._spec = spec
        self._margins, self._counts = np.zeros(rows), np.zeros(rows, np.int64)
        self._best, self._later = (np.zeros((rows, classes), np.float32) for _ in range(2))
        self._best_counts, self._later_counts = (np.zeros(rows, np.int64) for _ in range(2))
        self._epoch = 0

    @staticmethod
    def fits(assembly: Assembly, rows: int) -> bool:
        """Return whether the margins of a training can be recorded: single class labels, not too many values."""
        spec = assembly.spec
        return spec.task == "classification" and rows * len(spec.classes) <= MAX_VALUES

    def observe(self, assembly: Assembly) -> Assembly:
        """Return a training whose updates are recorded."""
        inner: Step = assembly.step

        def step(state: State, batch: Batch, loss: Loss) -> torch.Tensor:
            self._begin_epoch(state)
            start = 0

            def observed_loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
                nonlocal start
                rows = batch.index[start:] if start < len(batch) else batch.index[:0]
                start += self._add(rows, output, y)
                return loss(output, y)

            return inner(state, batch, observed_loss)

        return replace(assembly, step=step)

    def predictions(self) -> HeldOutPredictions | None:
        """Return the mean predictions up to the best epoch for the rows that were trained on; None without any."""
        best, counts = (self._best, self._best_counts) if self._best_counts.any() else (self._later, self._later_counts)
        rows = np.flatnonzero(counts >= MIN_EPOCHS_OF_ROW)
        if not len(rows):
            return None
        return HeldOutPredictions(
            rows,
            best[rows] / counts[rows, None],
            "the network itself, in its first epochs",
            self._margins[rows] / self._counts[rows],
        )

    def _begin_epoch(self, state: State) -> None:
        """Count the later epochs as early ones if the last one had the best score so far."""
        if state.epoch == self._epoch:
            return
        self._epoch = state.epoch
        if state.best is not None and state.best.epoch >= state.epoch:
            self._best += self._later
            self._best_counts += self._later_counts
            self._later[:], self._later_counts[:] = 0, 0

    @torch.no_grad()
    def _add(self, index: torch.Tensor, output: torch.Tensor, y: torch.Tensor) -> int:
        """Add the outputs of some rows; return how many of the rows they are."""
        if output.ndim != 2 or y.is_floating_point():
            return 0
        members = max(1, len(output) // max(1, len(index)))
        if members > 1:
            output, y = output.view(-1, members, output.shape[1]).float().mean(1), y[::members]
        rows = index[: len(output)].cpu().numpy()
        p = apply_link(output, self._spec).float()
        scores = p.clamp_min(1e-12).log()
        label = scores.gather(1, y[: len(rows), None])[:, 0]
        largest = scores.scatter(1, y[: len(rows), None], -torch.inf).amax(1)
        self._margins[rows] += (label - largest).double().cpu().numpy()
        self._later[rows] += p.cpu().numpy()
        self._counts[rows] += 1
        self._later_counts[rows] += 1
        return len(rows)
