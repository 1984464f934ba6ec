"""Predictions: a model's outputs through the link function, in the original units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from yisheng.core.errors import DataError, NonFiniteError
from yisheng.core.events import Batch
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.evaluation.outputs import Outputs, compute_outputs

Invert = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Predictions:
    """Targets and predictions of some rows, as NumPy arrays in the original units.

    Args:
        y: int64 ``(N,)`` class numbers; ``(N, L)`` zeros and ones; ``(N, T)`` numbers.
        prediction: probabilities ``(N, C)`` (also for two classes) or ``(N, L)``; numbers ``(N, T)``.
        index: row numbers in the data set ``(N,)``.

    Raises:
        DataError: the shapes do not match.
    """

    y: np.ndarray
    prediction: np.ndarray
    index: np.ndarray

    def __post_init__(self) -> None:
        expected = self.y.shape if self.y.ndim == 2 else (len(self.y), self.prediction.shape[-1])
        if self.prediction.shape != expected or len(self.index) != len(self.y):
            raise DataError(
                Message(
                    "predictions must be (N, C) for class numbers (N,), or have the targets' shape, got {shape} "
                    "for {targets_shape} with {count} row numbers",
                    shape=self.prediction.shape,
                    targets_shape=self.y.shape,
                    count=len(self.index),
                ),
                Message("give one row of predictions for each target and each row number"),
            )

    def __len__(self) -> int:
        return len(self.y)

    def require_finite(self) -> None:
        """Check that all predictions are finite: no score can be computed from others.

        Raises:
            NonFiniteError: some are NaN or infinite; the error names the first row.
        """
        finite = np.isfinite(self.prediction).all(axis=1)
        if not finite.all():
            raise NonFiniteError(
                Message(
                    "predictions must be finite, but those of {invalid} of {rows} rows are NaN or infinite, first "
                    "row {first}",
                    invalid=(~finite).sum(),
                    rows=len(self),
                    first=self.index[finite.argmin()],
                ),
                Message("train with a smaller lr or with clip_norm=1, and look for NaN in the data"),
            )


def predict(model: nn.Module, batches: Iterable[Batch], spec: Spec, invert: Invert | None = None) -> Predictions:
    """Predict the rows of some batches with a model.

    Args:
        model: the network; the modes of its modules are restored afterwards.
        batches: the rows, read once.
        spec: the contract; its ``outputs`` selects the link function.
        invert: the inverse of a regression's target transform, applied to targets and outputs.

    Raises:
        DataError: there are no rows.

    >>> x, y, rows = torch.tensor([[2.0], [-2.0]]), torch.tensor([1, 0]), torch.arange(2)
    >>> spec = Spec("classification", (1,), classes=("no", "yes"), outputs=1)
    >>> predict(nn.Identity(), [Batch(x, y, rows)], spec).prediction.round(2)
    array([[0.12, 0.88],
           [0.88, 0.12]], dtype=float32)
    """
    return to_predictions(compute_outputs(model, batches), spec, invert)


def to_predictions(outputs: Outputs, spec: Spec, invert: Invert | None = None) -> Predictions:
    """Apply the link function to the outputs and copy them to the host."""
    y = invert(outputs.y) if invert is not None and spec.task == "regression" else outputs.y
    tensors = (y, apply_link(outputs.output, spec, invert), outputs.index)
    return Predictions(*(tensor.cpu().numpy() for tensor in tensors))


def apply_link(output: torch.Tensor, spec: Spec, invert: Invert | None = None) -> torch.Tensor:
    """Convert outputs ``(..., O)`` to probabilities, or to numbers in the original unit.

    Classification: softmax over O = C units, or 1 - sigmoid and sigmoid of a single unit; multilabel: sigmoid;
    regression: ``invert(output)``. Computed in float32 at least, without overflow; logits are divided by
    ``spec.temperature`` first. Outputs that are probabilities already (``spec.link``) are passed through; a single unit
    is that of the second class.

    >>> apply_link(torch.tensor([[0.0]]), Spec("classification", (1,), classes=("no", "yes"), outputs=1))
    tensor([[0.5000, 0.5000]])
    """
    output = output.detach()
    output = output if output.dtype in (torch.float32, torch.float64) else output.float()
    if spec.task == "regression":
        return output if invert is None else invert(output)
    is_single_unit = spec.task == "classification" and spec.outputs == 1
    if spec.link == "probabilities":
        return torch.cat([1 - output, output], dim=-1) if is_single_unit else output
    if spec.temperature != 1:
        output = output / spec.temperature
    if spec.task == "multilabel":
        return output.sigmoid()
    if is_single_unit:
        return torch.cat([-output, output], dim=-1).sigmoid()
    return output.softmax(dim=-1)
