"""Rows that the classroom programs share, and scores of networks with several outputs."""

from __future__ import annotations

import functools
from typing import Any

import torch
from benchmarks.doctor.datasets import Data
from torch import Tensor, nn
from torch.nn import functional as F


def generator(seed: int) -> torch.Generator:
    """Return a generator with a seed."""
    return torch.Generator().manual_seed(seed)


def split(x: Tensor, y: Tensor, fraction: float = 0.7) -> Data:
    """Return the first rows for training, the others held out."""
    cut = int(len(x) * fraction)
    return Data(x[:cut], y[:cut], x[cut:], y[cut:])


def rows_of(data: Data) -> dict[str, Any]:
    """Return the rows as the doctor takes them."""
    return {"data": (data.x, data.y), "validation": (data.x_test, data.y_test)}


@torch.no_grad()
def report(dr: Any, net: nn.Module, data: Data) -> None:
    """Tell the doctor the loss and, for class numbers, the accuracy of the held-out rows."""
    net.eval()
    out = net(data.x_test)
    if data.y_test.is_floating_point():
        dr.validation(loss=float(F.mse_loss(out, data.y_test)))
    else:
        score = float((out.argmax(1) == data.y_test).float().mean())
        dr.validation(loss=float(F.cross_entropy(out, data.y_test)), score=score)


@torch.no_grad()
def explained(net: nn.Module, data: Data) -> float:
    """Return the mean over the target columns of R² on the held-out rows, each at least -10."""
    net.eval()
    error = (net(data.x_test).reshape(data.y_test.shape) - data.y_test).square().mean(0)
    value = 1 - error / data.y_test.var(0, correction=0)
    return float(value.nan_to_num(nan=-10.0, neginf=-10.0).clamp(min=-10.0).mean())


@functools.cache
def scribbles(seed: int, rows: int = 400, side: int = 16) -> Data:
    """Return noisy images of thin lines and the mask (N, 1, side, side) of the lines."""
    g = generator(seed)
    mask = torch.zeros(rows, 1, side, side)
    for i in range(rows):
        row, column = torch.randint(0, side, (2,), generator=g).tolist()
        mask[i, 0, row] = 1.0
        mask[i, 0, :, column] = 1.0
        down = torch.arange(side)
        mask[i, 0, down, (down + row + column) % side] = 1.0
    return split(mask + 0.45 * torch.randn(mask.shape, generator=g), mask)
