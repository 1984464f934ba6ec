"""Models whose output is a sum of trees, and what those have in common that a library grows round by round."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedModel, make_certain_logits
from yisheng.models._trees import Tree, Trees

STAGE_EXPONENT = 1.5
"""Rounds after stage s of S are proportional to (s/S) to this power."""
STAGES, ROUNDS_OF_STAGES = 12, 1000
"""More than 1000 rounds have more stages, so that the early ones stay as near to one another."""


class BoostedTrees(FittedModel):
    """Trees whose sum is the output: logits, or numbers in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        rounds: number of rounds in all.
        values: numbers in a leaf: 1, or as many as there are outputs.
    """

    base: torch.Tensor

    def __init__(self, spec: Spec, rounds: int, values: int = 1) -> None:
        super().__init__()
        self.spec, self.rounds = spec, rounds
        self.trees = Trees(spec.outputs, values)
        self.register_buffer("base", torch.zeros(spec.outputs, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled rows ``(B, D)`` to outputs ``(B, O)``."""
        return (self.base + self.trees(x)).to(x.dtype)

    def check_buffers(self) -> None:
        """Check what `forward` relies on."""
        self.trees.check(self.spec.shape[0])
        if self.base.shape != (self.spec.outputs,) or not bool(self.base.isfinite().all()):
            raise ValueError("the initial outputs of the trees are damaged")


class TreeSeries(Protocol):
    """The trees of one objective: of all classes, or of one label or number.

    Args:
        outputs: what they predict.
        trees: those of the rounds so far.
        base: the outputs before the first tree.
    """

    outputs: list[int]
    trees: list[Tree]
    base: np.ndarray | float

    def extend(self, rounds: int) -> None:
        """Add trees up to a number of rounds."""


class StagedTrees(BoostedTrees):
    """Trees that a library adds round by round; each stage has more rounds than the one before.

    The scores change less and less, so that the stages among which the best one is chosen may be farther apart.
    ``certain`` are outputs ``(O,)`` that no tree changes: of classes without training rows.
    """

    def __init__(self, spec: Spec, rounds: int, values: int = 1) -> None:
        super().__init__(spec, rounds, values)
        stages = STAGES * max(1.0, rounds / ROUNDS_OF_STAGES) ** (1 / STAGE_EXPONENT)
        self.stages = min(round(stages), rounds)
        self.certain = np.zeros(spec.outputs)
        self._series: list[TreeSeries] | None = None

    def start_series(self, rows: FitRows, y: np.ndarray, outputs: list[int]) -> TreeSeries:
        """Return trees without a round.

        Args:
            rows: the training rows.
            y: what they are to predict ``(N,)``: class numbers, a label or a number.
            outputs: its outputs; of two classes the second one.
        """
        raise NotImplementedError

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Fit the rounds of the next stage."""
        if self._series is None:
            self._series = self._start(rows)
        rounds = max(1, round(self.rounds * ((stage + 1) / self.stages) ** STAGE_EXPONENT))
        base = self.certain.copy()
        for series in self._series:
            series.extend(rounds)
            base[series.outputs] += series.base
        self.base = torch.from_numpy(base)
        self.trees.set_trees([tree for series in self._series for tree in series.trees])

    def _start(self, rows: FitRows) -> list[TreeSeries]:
        """Return a series of trees for each target; one that has a single class has no trees."""
        is_classes = self.spec.task == "classification"
        targets = [rows.y] if is_classes else list(rows.y.reshape(len(rows.y), -1).T)
        series: list[TreeSeries] = []
        for number, y in enumerate(targets):
            if self.spec.task != "regression" and len(np.unique(y)) == 1:
                self.certain += make_certain_logits(self.spec, int(y[0]), number)
                continue
            outputs = list(range(len(self.spec.classes))) if is_classes else [number]
            if is_classes and len(self.spec.classes) <= 2:
                outputs = [self.spec.outputs - 1]  # of two classes one tree, for the second one
            series.append(self.start_series(rows, y, outputs))
        return series
