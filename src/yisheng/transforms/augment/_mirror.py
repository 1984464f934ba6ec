"""Samples mirrored along one axis."""

from __future__ import annotations

import torch

from yisheng.transforms.augment._contract import Augment, chosen


def mirror(axis: int, p: float) -> Augment:
    """Mirror each sample along an axis with a chance of ``p``."""

    def change(x: torch.Tensor, y: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        rows = chosen(len(x), p, draw).to(x.device)  # numbers, not a mask: the GPU need not be asked how many
        if not len(rows):
            return x, y
        return x.index_copy(0, rows, x.index_select(0, rows).flip(axis)), y

    return change
