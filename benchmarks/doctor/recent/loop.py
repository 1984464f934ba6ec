"""What the recent programs share: rows in loaders, and scores of masks and pairs."""

from __future__ import annotations

from typing import Any

import torch
from benchmarks.doctor.datasets import Data
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

Rows = tuple[torch.Tensor, torch.Tensor]


def held_out(data: Data, size: int = 128) -> DataLoader[Any]:
    """Return a loader of the held-out rows."""
    return DataLoader(TensorDataset(data.x_test, data.y_test), batch_size=size)


def given_rows(data: Data) -> dict[str, Rows]:
    """Return the rows as the doctor takes them."""
    return {"data": (data.x, data.y), "validation": (data.x_test, data.y_test)}


@torch.no_grad()
def overlap(net: nn.Module, x: torch.Tensor, masks: torch.Tensor) -> float:
    """Return the Dice coefficient of the masks (N, 1, H, W) and the positive scores of the network."""
    net.eval()
    predicted = net(x) > 0
    return float(2 * (predicted & (masks > 0.5)).sum() / (predicted.sum() + (masks > 0.5).sum()).clamp(min=1))


def small_masks(seed: int, rows: int, side: int = 12) -> Rows:
    """Return noisy images (N, 1, side, side) of a bright disc and a dark one, and the mask of the bright one."""
    g = torch.Generator().manual_seed(seed)
    places = torch.arange(side, dtype=torch.float32)

    def discs(radius: float) -> torch.Tensor:
        center = torch.rand(rows, 2, generator=g) * (side - 4) + 1.5
        rows_off, columns_off = places[None, :, None] - center[:, :1, None], places[None, None] - center[:, 1:, None]
        return (rows_off.square() + columns_off.square() < radius**2).float()[:, None]

    bright, dark = discs(2.2), discs(2.2)
    x = bright - dark * (1 - bright) + 0.4 * torch.randn(rows, 1, side, side, generator=g)
    return x, bright


class Segmenter(nn.Module):
    """Three convolutions that keep the size of the image."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, 1, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)
