"""Mirroring of samples along one axis."""

from __future__ import annotations

import torch

from yisheng.transforms.augment._base import Augment, choose_samples


def mirror(axis: int, p: float) -> Augment:
    """Return the augmentation that mirrors each sample along an axis with probability ``p``."""

    def augment(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        rows = choose_samples(len(x), p, generator).to(x.device)  # with a mask, the GPU would have to count them
        if not len(rows):
            return x, y
        return x.index_copy(0, rows, x.index_select(0, rows).flip(axis)), y

    return augment
