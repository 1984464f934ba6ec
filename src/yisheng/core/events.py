"""What a training yields: the end of an update with its batch, and the end of an epoch with its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yisheng.core.input_spec import Inputs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """A batch of samples on the training device, ready for the model.

    Args:
        x: inputs ``(B, ...)``, transformed: one tensor, or with several inputs a tuple or a dict of tensors; see
            `yisheng.core.nested`.
        y: targets ``(B, ...)`` as in `Dataset`; regression targets are transformed.
        index: row numbers in the data set ``(B,)``, so that a check can report the rows.
        weight: sample weights ``(B,)``, or None.
    """

    x: Inputs
    y: torch.Tensor
    index: torch.Tensor
    weight: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.index.shape[0]  # len() of a tensor takes microseconds


@dataclass(frozen=True, slots=True)
class StepEnd:
    """The event after one update. ``loss`` stays on its device, because reading it would stall a GPU.

    Args:
        step: number of updates so far, from 1.
        epoch: the current epoch, from 0.
        lr: learning rate of the update.
        loss: mean loss over the batch, a detached scalar tensor.
        batch: the batch, so that a callback can report its rows.

    >>> import torch
    >>> batch = Batch(torch.zeros(2, 3), torch.zeros(2), index=torch.tensor([4, 7]))
    >>> event = StepEnd(step=1, epoch=0, lr=0.1, loss=torch.tensor(0.5), batch=batch)
    >>> float(event.loss), event.batch.index.tolist()
    (0.5, [4, 7])
    """

    step: int
    epoch: int
    lr: float
    loss: torch.Tensor
    batch: Batch


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """The event after an epoch, with its scores.

    Args:
        step: number of updates so far.
        epoch: number of finished epochs, from 1.
        loss: mean training loss over the epoch's samples, each computed when it was trained on.
        scores: validation scores by name (``loss`` among them); empty without a validation part.

    >>> EpochEnd(step=37, epoch=1, loss=0.5, scores={"loss": 0.4, "accuracy": 0.9}).scores["accuracy"]
    0.9
    """

    step: int
    epoch: int
    loss: float
    scores: Mapping[str, float]


Event = StepEnd | EpochEnd
