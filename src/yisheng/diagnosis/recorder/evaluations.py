"""Evaluations of a training: passes that make no update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.recorder.course import Course
from yisheng.diagnosis.recorder.embedding_lookups import EmbeddingLookups
from yisheng.diagnosis.recorder.evaluated import EvaluatedRows
from yisheng.diagnosis.recorder.guard import Guard
from yisheng.diagnosis.recorder.loss_calls import count_rows, output_and_target
from yisheng.diagnosis.recorder.source_lines import find_call_path

MODE_DEPENDENT = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
)
"""Layers that compute otherwise in training than in evaluation."""


class Evaluations:
    """What is seen of the evaluations of a training.

    Args:
        model: the network.
        guard: runs the hooks.

    Attributes:
        course: losses of evaluations.
        rows: inputs and predicted classes of evaluations.
        lookups: numbers that are looked up in embeddings.
        depends_on_mode: whether a layer computes otherwise in training than in evaluation.
    """

    def __init__(self, model: nn.Module, guard: Guard) -> None:
        self.course = Course()
        self.rows = EvaluatedRows()
        self.lookups = self.rows.lookups = EmbeddingLookups(model, guard)
        self._mode_dependent = [
            part for part in model.modules() if isinstance(part, MODE_DEPENDENT) and getattr(part, "p", 1) > 0
        ]
        self.depends_on_mode = bool(self._mode_dependent)

    def is_in_training_mode(self, model: nn.Module) -> bool:
        """Return whether a layer of a network that depends on the mode is in training mode."""
        return model.training and any(part.training for part in self._mode_dependent)

    def add_loss_call(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        result: torch.Tensor,
        steps: int,
        losses_before: int,
    ) -> None:
        """Add a call of a loss function in an evaluation.

        Args:
            name: of the function.
            args: its positional arguments.
            kwargs: its other arguments.
            result: of the function.
            steps: updates made before.
            losses_before: training losses before.
        """
        output, target = output_and_target(args, kwargs, name)
        self.rows.add_outputs(steps, name, output, target)
        rows = count_rows(output, name)
        mean = result.detach().mean() if result.ndim else result.detach()
        if kwargs.get("reduction") == "sum":
            mean = mean / max(1, rows)
        self.course.add_batch(find_call_path(), steps, losses_before, mean.item() if mean.is_cpu else mean, rows)
