"""Classroom faults of networks: closures, scales, norms, pooling, skips, graphs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.doctor.classroom.rows import explained, generator, scribbles, split
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import fit
from torch import Tensor, nn, optim
from torch.nn import functional as F


class CategoryColumns(nn.Module):
    """Sums a vector of each category column, looked up by a function of each column."""

    def __init__(self, columns: int, levels: int, fixed: bool) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(levels, 16) for _ in range(columns))
        self.look_up: list[Callable[[Tensor], Tensor]] = []
        for table in self.tables:
            if fixed:
                self.look_up.append(lambda ids, table=table: table(ids))
            else:
                self.look_up.append(lambda ids: table(ids))  # noqa: B023
        self.layers = nn.Sequential(nn.ReLU(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, x: Tensor) -> Tensor:
        vectors = [function(ids) for function, ids in zip(self.look_up, x.unbind(1), strict=True)]
        return self.layers(torch.stack(vectors).sum(0))


# A lambda in a loop reads the variable when it is called: all columns are looked up in the last table.
@faulty("no-gradient", "repeated-layers", "late-binding")
def classroom_closures_with_the_last_table(t: Trial) -> float:
    """`[lambda ids: table(ids) for table in self.tables]`."""
    g = generator(t.seed)
    x = torch.randint(0, 6, (1500, 5), generator=g)
    worth = torch.randn(5, 6, generator=g)
    total = worth[torch.arange(5), x].sum(1)
    data = split(x, (total > 0.9).long() + (total > -0.9).long())
    net = CategoryColumns(5, 6, t.fixed)
    fit(t, net, optim.Adam(net.parameters(), lr=5e-3), data, epochs=10)
    return accuracy(net, data)


class GatedBlock(nn.Module):
    """A residual block whose branch begins with a factor of zero, which is to be learned."""

    def __init__(self, width: int, fixed: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.alpha = nn.Parameter(torch.zeros(1)) if fixed else torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.alpha * self.branch(x)


# A plain tensor is not a parameter: the factor remains zero, and the network is a line.
@faulty("no-gradient", "unregistered-parameters", "zero-scale")
def classroom_factor_that_remains_zero(t: Trial) -> float:
    """`self.alpha = torch.zeros(1)` for `nn.Parameter(torch.zeros(1))` in each block of a ReZero network."""
    g = generator(t.seed)
    x = torch.randn(900, 6, generator=g)
    y = torch.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * x[:, 3] + 0.1 * torch.randn(900, generator=g)
    data = split(x, y[:, None])
    blocks = [GatedBlock(48, t.fixed) for _ in range(4)]
    net = nn.Sequential(nn.Linear(6, 48), *blocks, nn.Linear(48, 1))
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, F.mse_loss, epochs=15)
    return explained(net, data)


class UNet(nn.Module):
    """Two resolutions of convolutions, and a skip that gives the fine one to the last layers."""

    def __init__(self, fixed: bool, width: int = 10) -> None:
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU())
        self.down2 = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.up1 = nn.Sequential(nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU())
        self.out, self.fixed = nn.Conv2d(width, 1, 1), fixed

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down1(x)
        x = self.down2(F.avg_pool2d(skip, 4))
        x = F.interpolate(x, scale_factor=4.0, mode="nearest")
        x = self.up1(torch.cat([x, skip if self.fixed else x], 1))
        return self.out(x)


@torch.no_grad()
def mask_overlap(net: nn.Module, data: Data) -> float:
    """Return the Dice coefficient of the held-out masks."""
    net.eval()
    predicted, mask = net(data.x_test) > 0, data.y_test > 0.5
    return float(2 * (predicted & mask).sum() / (predicted.sum() + mask.sum()).clamp(min=1))


# What the decoder gets twice is the coarse half. Lines of one pixel are gone in it.
@faulty("missing-shortcuts", "missing-skip", "duplicated-skip", "duplicated-operand")
def classroom_decoder_with_itself_as_its_skip(t: Trial) -> float:
    """`torch.cat([x, x], 1)` where `torch.cat([x, skip], 1)` was meant: the shapes are the same."""
    data = scribbles(t.seed)
    net = UNet(t.fixed)
    fit(t, net, optim.Adam(net.parameters(), lr=5e-3), data, F.binary_cross_entropy_with_logits, epochs=6)
    return mask_overlap(net, data)
