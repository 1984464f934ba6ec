"""Outputs of a model on all rows of a part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from yisheng.core import autocast
from yisheng.core.errors import DataError
from yisheng.core.events import Batch
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode


@dataclass(frozen=True)
class Outputs:
    """Outputs of `compute_outputs`, on the model's device and in the scale that the model was trained in.

    Args:
        output: ``(N, O)``.
        y: targets, ``(N,)``, ``(N, L)`` or ``(N, T)``.
        index: row numbers in the data set ``(N,)``.
        weight: sample weights ``(N,)``, or None.
    """

    output: torch.Tensor
    y: torch.Tensor
    index: torch.Tensor
    weight: torch.Tensor | None


def compute_outputs(model: nn.Module, batches: Iterable[Batch], *, bf16: bool = False) -> Outputs:
    """Compute the model's outputs in evaluation mode and without gradients, batch by batch.

    Every module returns to the mode it was in, frozen layers included. Nothing is read back from the device.
    Gradients are off only while the model computes, not in the code that makes the batches.

    Args:
        model: the network.
        batches: the rows.
        bf16: compute in bfloat16; see `yisheng.core.autocast.forward`.

    Raises:
        DataError: there are no rows.
    """
    outputs, targets, rows, weights = [], [], [], []
    with evaluation_mode(model):
        for batch in batches:
            # Not inference_mode: a tensor that a model computes once and caches could not be used in training.
            with torch.no_grad():
                outputs.append(autocast.forward(model, batch.x, bf16=bf16))
            targets.append(batch.y)
            rows.append(batch.index)
            if batch.weight is not None:
                weights.append(batch.weight)
    if not outputs:
        raise DataError(Message("there are no rows to evaluate"), Message("give a part with at least one row"))
    return Outputs(torch.cat(outputs), torch.cat(targets), torch.cat(rows), torch.cat(weights) if weights else None)
