"""Outputs of a user's network for many rows, computed batch by batch."""

from __future__ import annotations

import torch
from torch import nn

from yisheng.core.modes import evaluation_mode
from yisheng.diagnosis.probe import REFUSALS

BATCH = 256


@torch.no_grad()
def predict_in_batches(model: nn.Module, x: torch.Tensor, size: int = BATCH) -> torch.Tensor | None:
    """Return the outputs ``(N, ...)`` of rows in evaluation mode on the CPU, or None if there is not one for each row.

    A network may have its rows on another axis, such as ``(T, B, C)`` or ``(members, B, C)``, return several tensors,
    or refuse the rows. Modes and random generators are the same afterwards.

    Args:
        model: the network.
        x: the rows ``(N, ...)``.
        size: rows of a batch.

    >>> predict_in_batches(nn.Linear(2, 3), torch.ones(600, 2)).shape
    torch.Size([600, 3])
    >>> class TimeFirst(nn.Module):
    ...     def forward(self, x):
    ...         return x.transpose(0, 1)
    >>> predict_in_batches(TimeFirst(), torch.ones(600, 2))
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    outputs: list[torch.Tensor] = []
    with evaluation_mode(model), torch.random.fork_rng(enabled=device.type == "cpu", devices=[]):
        for rows in x.split(size):
            try:
                output = model(rows.to(device))
            except REFUSALS:
                return None
            if not isinstance(output, torch.Tensor) or output.ndim == 0 or len(output) != len(rows):
                return None
            if outputs and output.shape[1:] != outputs[0].shape[1:]:
                return None
            outputs.append(output.float().cpu())
    return torch.cat(outputs) if outputs else None
