"""Data that several of the further programs read, and scores of what a network generates."""

from __future__ import annotations

import functools

import torch
from benchmarks.doctor.datasets import Data, images
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Rows = tuple[torch.Tensor, torch.Tensor]


@functools.cache
def outlines(seed: int, rows: int = 900, side: int = 12, noise: float = 0.35) -> Data:
    """Return noisy images (N, 1, side, side) of a disc, a ring, a square or a cross, which a mirror does not change."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (rows,), generator=g)
    center = torch.rand(rows, 2, generator=g) * 4 + (side - 5) / 2
    places = torch.arange(side, dtype=torch.float32)
    down = (places[None, :, None] - center[:, :1, None]).expand(rows, side, side)
    across = (places[None, None] - center[:, 1:, None]).expand(rows, side, side)
    radius = (down.square() + across.square()).sqrt()
    square = torch.maximum(down.abs(), across.abs()) < 2.7
    cross = ((down.abs() < 0.8) | (across.abs() < 0.8)) & (radius < 3.6)
    stack = torch.stack([radius < 3.0, (radius < 3.4) & (radius > 2.0), square, cross]).float()
    x = stack[y, torch.arange(rows)][:, None] + noise * torch.randn(rows, 1, side, side, generator=g)
    cut = rows * 2 // 3
    return Data(x[:cut], y[:cut], x[cut:], y[cut:])


@functools.cache
def scattered_digits(seed: int, rows: int = 200, side: int = 12) -> Data:
    """Return digits at random places of a larger image, and only some of them to learn from."""
    data, g = images(seed), torch.Generator().manual_seed(seed + 1)

    def place(x: torch.Tensor) -> torch.Tensor:
        canvas = torch.zeros(len(x), 1, side, side)
        corners = torch.randint(0, side - 7, (len(x), 2), generator=g).tolist()
        for i, (row, column) in enumerate(corners):
            canvas[i, :, row : row + 8, column : column + 8] = x[i]
        return canvas

    return Data(place(data.x[:rows]), data.y[:rows], place(data.x_test), data.y_test)


def loaders(data: Data, size: int = 32) -> tuple[DataLoader, DataLoader]:
    """Return a shuffled loader of the training rows and a loader of the held-out rows."""
    return (
        DataLoader(TensorDataset(data.x, data.y), batch_size=size, shuffle=True),
        DataLoader(TensorDataset(data.x_test, data.y_test), batch_size=256),
    )


@torch.no_grad()
def loss_and_accuracy(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    """Return the cross-entropy and the accuracy in evaluation mode, as the doctor takes them."""
    net.eval()
    out = net(x)
    return {"loss": float(F.cross_entropy(out, y)), "score": float((out.argmax(-1) == y).float().mean())}


@torch.no_grad()
def negative_energy_distance(samples: torch.Tensor, rows: torch.Tensor) -> float:
    """Return minus the energy distance of two sets of points (N, D); 0 if they have the same distribution."""
    within = torch.cdist(samples, samples).mean() + torch.cdist(rows, rows).mean()
    distance = float(2 * torch.cdist(samples, rows).mean() - within)
    return -distance if distance == distance else -10.0


def explained(predicted: torch.Tensor, targets: torch.Tensor) -> float:
    """Return R² of predictions, at least -10."""
    value = float(1 - (predicted.reshape(targets.shape) - targets).square().mean() / targets.var(correction=0))
    return max(-10.0, value) if value == value else -10.0
