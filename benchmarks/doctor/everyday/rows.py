"""Rows that the everyday programs share: sequences, tags and spots; and a loop of one optimizer."""

from __future__ import annotations

import functools

import torch
from benchmarks.doctor.datasets import Data
from torch import Tensor, nn
from torch.nn import functional as F


def split(x: Tensor, y: Tensor, fraction: float = 0.7) -> Data:
    """Return the first rows for training, the others held out."""
    cut = int(len(x) * fraction)
    return Data(x[:cut], y[:cut], x[cut:], y[cut:])


@functools.cache
def tagged(seed: int, rows: int = 600, length: int = 8, tokens: int = 30, tags: int = 4) -> Data:
    """Return token ids (N, T) and a tag (N, T) of each, which depends on the token and the one before."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, tokens, (rows, length), generator=g)
    previous = torch.cat([torch.zeros(rows, 1, dtype=torch.long), ids[:, :-1]], 1)
    return split(ids, (ids % tags + (previous > tokens // 2).long()) % tags)


@functools.cache
def marked_steps(seed: int, rows: int = 900, length: int = 16, columns: int = 5) -> Data:
    """Return sequences (N, T, D); the class is the sign pattern of the one step whose last column is set."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, length, columns, generator=g)
    place = torch.randint(0, length, (rows,), generator=g)
    x[..., -1] = 0.0
    x[torch.arange(rows), place, -1] = 3.0
    chosen = x[torch.arange(rows), place]
    return split(x, (chosen[:, 0] > 0).long() + 2 * (chosen[:, 1] > 0).long())


@functools.cache
def spots(seed: int, rows: int = 900, side: int = 12) -> Data:
    """Return images (N, 1, side, side) of one bright spot, and its place (N, 2) from -1 to 1."""
    g = torch.Generator().manual_seed(seed)
    place = torch.rand(rows, 2, generator=g) * 2 - 1
    grid = torch.linspace(-1, 1, side)
    down = (grid[None, :, None] - place[:, :1, None]).square()
    across = (grid[None, None] - place[:, 1:, None]).square()
    image = (-(down + across) / 0.06).exp() + 0.1 * torch.randn(rows, side, side, generator=g)
    return split(image[:, None], place)


@functools.cache
def sums_of_steps(seed: int, rows: int = 900, length: int = 12) -> Data:
    """Return sequences (N, T, 2) and whether the products of their two columns have a positive sum."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, length, 2, generator=g)
    return split(x, (x.sum((1, 2)) > 0).long())


def spoken_numbers(seed: int, rows: int, length: int = 13) -> Tensor:
    """Return token ids (N, T) in which each is the sum of the two before, modulo 7, except one in twenty."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 7, (rows, length), generator=g)
    for k in range(2, length):
        is_random = torch.rand(rows, generator=g) < 0.05
        ids[:, k] = torch.where(is_random, ids[:, k], (ids[:, k - 1] + ids[:, k - 2]) % 7)
    return ids


@torch.no_grad()
def cross_entropy_and_accuracy(net: nn.Module, data: Data) -> dict[str, float]:
    """Return the loss and the accuracy of class numbers in evaluation mode."""
    net.eval()
    out = net(data.x_test)
    return {
        "loss": float(F.cross_entropy(out, data.y_test)),
        "score": float((out.argmax(1) == data.y_test).float().mean()),
    }


@torch.no_grad()
def explained_places(net: nn.Module, data: Data) -> float:
    """Return R² over all targets, at least -10."""
    net.eval()
    error = (net(data.x_test).reshape(data.y_test.shape) - data.y_test).square().mean()
    value = float(1 - error / (data.y_test - data.y_test.mean(0)).square().mean())
    return max(-10.0, value) if value == value else -10.0
