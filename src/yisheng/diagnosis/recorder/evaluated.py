"""What evaluations showed of a network: the scale of their inputs, and which classes it predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.recorder.embedding_lookups import EmbeddingLookups
from yisheng.diagnosis.recorder.input_samples import EvaluatedSamples
from yisheng.diagnosis.recorder.records import InputRecord
from yisheng.diagnosis.recorder.repeated_evaluations import RepeatedEvaluations
from yisheng.diagnosis.recorder.small_tensors import is_dense
from yisheng.diagnosis.recorder.statistics import describe_inputs

MAX_BATCHES = 3
"""Batches of evaluations whose scale is recorded."""
MAX_CLASSES = 1000
CLASS_LOSSES = ("cross_entropy", "nll_loss")
BINARY_LOSSES = ("binary_cross_entropy_with_logits", "binary_cross_entropy", "soft_margin_loss")


@dataclass
class Confusion:
    """Rows of the last evaluation by their class and the predicted one.

    Args:
        step: updates made before it.
        counts: rows ``(classes, predicted classes)``; for several labels at once, those of each label are added.
        is_multilabel: whether each row has several labels.
    """

    step: int
    counts: torch.Tensor
    is_multilabel: bool = False


class EvaluatedRows:
    """The evaluations of a training.

    Attributes:
        inputs: statistics of the inputs of the first batches after an update.
        passes: batches that were evaluated after an update.
        samples: rows of the inputs of the first evaluation.
        repeats: first batches of the first two evaluations.
        lookups: numbers that are looked up in embeddings, or None if nothing notes them.
    """

    def __init__(self) -> None:
        self.inputs: list[InputRecord] = []
        self.passes = 0
        self.samples = EvaluatedSamples()
        self.repeats = RepeatedEvaluations()
        self.lookups: EmbeddingLookups | None = None
        self._confusion: Confusion | None = None

    @property
    def confusion(self) -> Confusion | None:
        """Return the rows of the last evaluation by class and prediction, or None if the classes are unknown."""
        return self._confusion

    def add_inputs(self, step: int, arguments: tuple[Any, ...]) -> None:
        """Note the inputs of a pass without gradient.

        Args:
            step: updates made before.
            arguments: of the network.
        """
        if not step:
            return
        self.passes += 1
        x = arguments[0] if arguments else None
        if len(self.inputs) < MAX_BATCHES and is_dense(x) and x.numel():
            self.inputs.append(describe_inputs(x))
        if is_dense(x):
            self.samples.add(step, x)
            self.repeats.add(step, x)

    @torch.no_grad()
    def add_outputs(self, step: int, function: str, output: Any, target: Any) -> None:
        """Note which classes were predicted, from a call of a loss function.

        Args:
            step: updates made before.
            function: its name.
            output: of the network.
            target: what it is compared with.
        """
        counts = count_classes(function, output, target)
        if counts is None:
            return
        last = self._confusion
        if last is not None and last.step == step and last.counts.shape == counts.shape:
            last.counts += counts
        else:
            self._confusion = Confusion(step, counts, function in BINARY_LOSSES and output.ndim > 1 < output.shape[-1])


def count_classes(function: str, output: Any, target: Any) -> torch.Tensor | None:
    """Return the rows by class and predicted class ``(C, C)``, or None if they do not compare classes.

    Args:
        function: name of the loss function.
        output: scores ``(B, C, ...)`` of classes, or of labels ``(B, ...)``.
        target: class numbers ``(B, ...)``, or labels ``(B, ...)`` of 0 and 1.

    >>> scores = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    >>> count_classes("cross_entropy", scores, torch.tensor([0, 1, 1])).tolist()
    [[1, 0], [1, 1]]
    """
    if not isinstance(output, torch.Tensor) or not isinstance(target, torch.Tensor) or output.ndim < 1:
        return None
    if function in CLASS_LOSSES:
        is_classes = output.ndim > 1 and target.shape == (output.shape[0], *output.shape[2:])
        if not is_classes or target.is_floating_point() or not 2 <= output.shape[1] <= MAX_CLASSES:
            return None
        classes, true, predicted = output.shape[1], target.reshape(-1).long(), output.argmax(1).reshape(-1)
    elif function in BINARY_LOSSES and output.shape == target.shape:
        threshold = 0.5 if function == "binary_cross_entropy" else 0.0
        classes, true, predicted = 2, (target.reshape(-1) > 0.5).long(), (output.reshape(-1) > threshold).long()
    else:
        return None
    inside = (true >= 0) & (true < classes)
    index = torch.where(inside, true * classes + predicted, classes * classes)
    return torch.bincount(index, minlength=classes * classes + 1)[:-1].reshape(classes, classes)
