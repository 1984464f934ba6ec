"""Rows of the batches that a training updates on, as numbers that say whether two rows are equal."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from yisheng.diagnosis.recorder.input_samples import MAX_BATCH_ROWS, sample_batch, thin_rows

MAX_TARGET_VALUES = 64
"""Values that are kept of each target."""


@dataclass(frozen=True)
class TrainedRows:
    """Some rows of a batch, evenly distributed over it.

    Args:
        keys: of the rows, as by `key_rows`.
        targets: of the same rows ``(len(keys), K)``, as by `cut_targets`.
    """

    keys: tuple[int, ...]
    targets: torch.Tensor


def key_rows(x: torch.Tensor) -> tuple[int, ...]:
    """Return a number for each row ``(N, ...)``: equal rows have the same one.

    >>> a, b, c = key_rows(torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]]))
    >>> a == b, a == c
    (True, False)
    """
    rows = thin_rows(x.detach()).cpu().float().flatten(1).contiguous().numpy()
    return tuple(hash(row.tobytes()) for row in rows)


def copy_rows(x: torch.Tensor | None, targets: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return copies of some rows of a batch and of their targets, or None if the targets are not one per row.

    Args:
        x: first input of the network ``(B, ...)``.
        targets: of the loss ``(B, ...)``.
    """
    if x is None or targets is None or x.ndim < 2 or not targets.ndim or len(x) != len(targets) or not len(x):
        return None
    interval = -(-len(x) // MAX_BATCH_ROWS)
    return sample_batch(x), cut_targets(targets.detach()[::interval]).clone()


def cut_targets(targets: torch.Tensor) -> torch.Tensor:
    """Return the first values of the target ``(B, ...)`` of each row: of a mask they are enough to compare it.

    >>> cut_targets(torch.zeros(2, 1, 32, 32)).shape, cut_targets(torch.zeros(2)).shape
    (torch.Size([2, 64]), torch.Size([2, 1]))
    """
    return targets.reshape(len(targets), -1)[:, :MAX_TARGET_VALUES]
