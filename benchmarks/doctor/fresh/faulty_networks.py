"""Faulty trainings whose networks are put together wrongly: heads, layers, adapters, depth, several losses."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.fresh.loop import train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty
from benchmarks.doctor.unseen.loop import Net, digits, generator, loader, split
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


def four_targets(seed: int) -> Data:
    """Return a regression of four targets of variance near 1 on eight columns."""
    g = generator(seed)
    x = torch.randn(900, 8, generator=g)
    y = torch.tanh(x @ torch.randn(8, 4, generator=g)) + 0.5 * x[:, :4] * x[:, 4:]
    return split(x, y + 0.1 * torch.randn(900, 4, generator=g), 600)


@torch.no_grad()
def mean_r2(net: nn.Module, data: Data) -> float:
    """Return the mean R² of the targets."""
    net.eval()
    return float((1 - (net(data.x_test) - data.y_test).square().mean(0) / data.y_test.var(0)).mean())


class Heads(nn.Module):
    """A body with a head for each target."""

    def __init__(self, *, repeats_one: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU())
        heads = [nn.Linear(48, 1)] * 4 if repeats_one else [nn.Linear(48, 1) for _ in range(4)]
        self.heads = nn.ModuleList(heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.body(x)
        return torch.cat([head(hidden) for head in self.heads], 1)


@faulty("repeated-layers", "shared-module", "symmetric-weights")
def fresh_list_of_one_head(t: Trial) -> float:
    """`[nn.Linear(48, 1)] * 4` is the same head four times."""
    data, net = four_targets(t.seed), Heads(repeats_one=not t.fixed)
    train_epochs(t, net, Adam(net.parameters(), lr=4e-3), data, F.mse_loss, epochs=12)
    return mean_r2(net, data)


@faulty("no-gradient", "overwritten-loss")
def fresh_loss_of_the_last_task_only(t: Trial) -> float:
    """`loss = ...` instead of `loss += ...` in the loop over the tasks."""
    data, net = four_targets(t.seed), Heads(repeats_one=False)
    optimizer = Adam(net.parameters(), lr=4e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(12):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                out, loss = net(x), torch.zeros(())
                for task in range(4):
                    part = F.mse_loss(out[:, task], y[:, task])
                    loss = loss + part if t.fixed else part
                loss.backward()
                optimizer.step()
            dr.validation(score=mean_r2(net, data))
    return mean_r2(net, data)


class BuildsLayer(nn.Module):
    """A convolution, and a linear layer whose size is only known in the forward pass."""

    def __init__(self, *, builds_once: bool) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 12, 3), nn.Linear(32, 10)
        self.hidden = nn.LazyLinear(32) if builds_once else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv(x)), 2).flatten(1)
        hidden = nn.Linear(x.shape[1], 32) if self.hidden is None else self.hidden
        return self.fc(F.relu(hidden(x)))


@faulty("unregistered-parameters", "uncovered-parameters")
def fresh_layer_built_in_forward(t: Trial) -> float:
    """A linear layer is built in `forward`, as its size is not known before: a new one in each pass."""
    data, net = images(t.seed), BuildsLayer(builds_once=t.fixed)
    net(data.x[:2])
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=6)
    return accuracy(net, data)


class Adapted(nn.Module):
    """A frozen linear layer with an adapter that can be merged into its weight."""

    def __init__(self, layer: nn.Linear, rank: int = 6) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(0.2 * torch.randn(rank, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.is_merged = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if self.is_merged else self.layer(x) + x @ self.down.T @ self.up.T

    @torch.no_grad()
    def merge(self, sign: int = 1) -> None:
        """Add the adapter to the weight, or take it out again."""
        self.layer.weight += sign * self.up @ self.down
        self.is_merged = sign == 1


@faulty("weights-reset", "merged-twice")
def fresh_adapter_merged_in_each_validation(t: Trial) -> float:
    """Adapters are merged for validation, and training goes on with them in the weight and next to it."""
    data = digits(t.seed)
    net = Net(64, 10, hidden=48, layers=2)
    optimizer = Adam(net.parameters(), lr=3e-3)
    for _ in range(3):
        for x, y in loader(data):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
    mirrored = Data(data.x.flip(1), data.y, data.x_test.flip(1), data.y_test)
    adapters = [Adapted(layer) for layer in net.hidden]  # type: ignore[arg-type]
    net.hidden, net.out = nn.ModuleList(adapters), net.out.requires_grad_(False)
    optimizer = SGD([p for p in net.parameters() if p.requires_grad], lr=0.03, momentum=0.9)
    score = 0.0
    with t.doctor(net, optimizer, data=(mirrored.x, mirrored.y), validation=(mirrored.x_test, mirrored.y_test)) as dr:
        for _ in range(8):
            net.train()
            for x, y in loader(mirrored):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            for adapter in adapters:
                adapter.merge()
            score = accuracy(net, mirrored)
            dr.validation(score=score)
            for adapter in adapters:
                if t.fixed:
                    adapter.merge(-1)
                adapter.is_merged = False
    return score


class DeepGraph(nn.Module):
    """Layers that replace each node by the mean of its neighbors."""

    def __init__(self, adjacency: torch.Tensor, layers: int) -> None:
        super().__init__()
        self.adjacency = adjacency
        self.layers = nn.ModuleList(nn.Linear(10 if i == 0 else 24, 24) for i in range(layers))
        self.head = nn.Linear(24, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = F.relu(layer(self.adjacency @ x))
        return self.head(x)


@faulty("oversmoothing", "vanishing-gradients")
def fresh_graph_of_sixteen_layers(t: Trial) -> float:
    """After sixteen means over neighbors all nodes are the same."""
    g = generator(t.seed)
    y = torch.randint(0, 4, (260,), generator=g)
    has_edge = torch.rand(260, 260, generator=g) < torch.where(y[:, None] == y, 0.06, 0.015)
    adjacency = (has_edge | has_edge.T | torch.eye(260, dtype=torch.bool)).float()
    x = torch.randn(4, 10, generator=g)[y] + 1.5 * torch.randn(260, 10, generator=g)
    net = DeepGraph(adjacency / adjacency.sum(1, keepdim=True), 2 if t.fixed else 16)
    optimizer = Adam(net.parameters(), lr=5e-3)
    score = 0.0
    with t.doctor(net, optimizer) as dr:
        for _ in range(80):
            net.train()
            optimizer.zero_grad()
            out = net(x)
            F.cross_entropy(out[:130], y[:130]).backward()
            optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(x)[130:]
            score = float((out.argmax(1) == y[130:]).float().mean())
            dr.validation(loss=float(F.cross_entropy(out, y[130:])), score=score)
    return score
