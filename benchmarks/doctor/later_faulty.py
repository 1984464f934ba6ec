"""Faulty trainings, and their networks and data, written when the first checks were finished."""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.doctor.datasets import Data, generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    binary_accuracy,
    faulty,
    r2,
)
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(out)))


class TinyResNet(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.fc = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


class Words(nn.Module):
    """An embedding and a recurrent layer over word numbers."""

    def __init__(self, cell: type[nn.Module] = nn.LSTM) -> None:
        super().__init__()
        self.embedding, self.cell, self.out = nn.Embedding(30, 16), cell(16, 32, batch_first=True), nn.Linear(32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.cell(self.embedding(x))[0].mean(1))


def texts(seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 30, (1500, 10), generator=generator)
    y = ((x < 6).sum(1) > (x > 22).sum(1)).long()
    return Data(x[:1000], y[:1000], x[1000:], y[1000:])


def rings(seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(1200, 2, generator=generator) - 1
    y = (((x**2).sum(1).sqrt() * 2).long() % 2).long()
    return Data(2 * x[:800], y[:800], 2 * x[800:], y[800:])


def epochs(
    t: Trial, model: nn.Module, optimizer: torch.optim.Optimizer, data: Data, loss: Loss, count: int = 5
) -> None:
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True)
    with t.doctor(model, optimizer):
        for _ in range(count):
            model.train()
            for x, y in loader:
                optimizer.zero_grad()
                out = model(x)
                value = loss(out, y)
                value.backward()
                optimizer.step()


@faulty("loss-pairing")
def later_softmax_of_a_residual_network(t: Trial) -> float:
    data, net = images(t.seed), TinyResNet()
    epochs(
        t,
        net,
        torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9),
        data,
        lambda out, y: F.cross_entropy(out if t.fixed else F.softmax(out, -1), y),
        count=4,
    )
    return accuracy(net, data)


@faulty("mode")
def later_evaluated_with_batch_norm(t: Trial) -> float:
    data, net = images(t.seed), TinyResNet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    correct = 0
    with t.doctor(net, optimizer):
        for x, y in batches(data, 32, 100, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        if t.fixed:
            net.eval()
        with torch.no_grad():
            order = data.y_test.argsort()
            for rows in order.split(3):
                correct += int((net(data.x_test[rows]).argmax(1) == data.y_test[rows]).sum())
    return correct / len(data.y_test)


@faulty("high-learning-rate", "non-finite-loss")
def later_residual_network_too_fast(t: Trial) -> float:
    data, net = images(t.seed), TinyResNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3 if t.fixed else 3.0)
    epochs(t, net, optimizer, data, nn.CrossEntropyLoss(), count=3)
    return accuracy(net, data)


@faulty("low-learning-rate")
def later_words_too_slow(t: Trial) -> float:
    data, net = texts(t.seed), Words()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2 if t.fixed else 1e-6)
    epochs(t, net, optimizer, data, F.cross_entropy)
    return accuracy(net, data)


@faulty("carried-gradients")
def later_words_without_zero_grad(t: Trial) -> float:
    data, net = texts(t.seed), Words(nn.GRU)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    with t.doctor(net, optimizer):
        for x, y in batches(data, 50, 150, t.seed):
            if t.fixed:
                net.zero_grad()
            F.cross_entropy(net(x), y).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
    return accuracy(net, data)


@faulty("uncovered-parameters")
def later_embedding_forgotten(t: Trial) -> float:
    data, net = texts(t.seed), Words(nn.GRU)
    held = list(net.out.parameters()) + (list(net.embedding.parameters()) + list(net.cell.parameters())) * t.fixed
    epochs(t, net, torch.optim.Adam(held, lr=1e-2), data, F.cross_entropy)
    return accuracy(net, data)


@faulty("no-gradient")
def later_threshold_in_the_middle(t: Trial) -> float:
    class Hard(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 32), nn.Linear(32, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            return self.b(torch.relu(x) if t.fixed else (x > 0).float())

    data, net = rings(t.seed), Hard()
    epochs(t, net, torch.optim.Adam(net.parameters(), lr=2e-2), data, F.cross_entropy, count=12)
    return accuracy(net, data)


@faulty("loss-pairing")
def later_sigmoid_twice_with_dropout(t: Trial) -> float:
    data = rings(t.seed)
    net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.05), nn.Linear(64, 1))
    criterion = nn.BCEWithLogitsLoss()
    epochs(
        t,
        net,
        torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
        data,
        lambda out, y: criterion((out if t.fixed else out.sigmoid()).squeeze(-1), y.float()),
        count=12,
    )
    return binary_accuracy(net if t.fixed else nn.Sequential(net, nn.Sigmoid()), data, 0.0 if t.fixed else 0.5)


@faulty("loss-pairing")
def later_targets_of_another_shape(t: Trial) -> float:
    data = generate("friedman", t.seed)
    net = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1, bias=False))
    epochs(
        t,
        net,
        torch.optim.Adam(net.parameters(), lr=1e-2),
        data,
        lambda out, y: nn.MSELoss()(out if t.fixed else out[:, 0], y),
    )
    return r2(net, data)


@faulty("inputs")
def later_dates_among_fractions(t: Trial) -> float:
    data = generate("binary", t.seed)
    if not t.fixed:
        shift = torch.zeros(20)
        shift[4] = 1.7e4
        unit = torch.ones(20)
        unit[4] = 3e3
        data = Data(data.x * unit + shift, data.y, data.x_test * unit + shift, data.y_test)
    net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
    epochs(t, net, torch.optim.SGD(net.parameters(), lr=0.05), data, F.cross_entropy)
    return accuracy(net, data)


@faulty("target-scale")
def later_years(t: Trial) -> float:
    original = generate("regression", t.seed)
    shift, unit = (0.0, 1.0) if t.fixed else (1980.0, 15.0)
    data = Data(original.x, original.y * unit + shift, original.x_test, original.y_test * unit + shift)
    net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))
    epochs(t, net, torch.optim.Adam(net.parameters(), lr=3e-3), data, F.mse_loss)
    return r2(net, data)


@faulty("symmetric-weights")
def later_constant_weights(t: Trial) -> float:
    data = table("digits", t.seed)
    net = nn.Sequential(nn.Linear(64, 48), nn.Sigmoid(), nn.Linear(48, 48), nn.Sigmoid(), nn.Linear(48, 10))
    if not t.fixed:
        for layer in net:
            if isinstance(layer, nn.Linear):
                nn.init.constant_(layer.weight, 0.05)
                nn.init.zeros_(layer.bias)
    epochs(t, net, torch.optim.RMSprop(net.parameters(), lr=3e-3), data, F.cross_entropy)
    return accuracy(net, data)


@faulty("vanishing-gradients", "low-learning-rate")
def later_very_deep_network(t: Trial) -> float:
    data = rings(t.seed)
    layers: list[nn.Module] = [nn.Linear(2, 16)]
    for _ in range(1 if t.fixed else 18):
        layers += [nn.Sigmoid() if not t.fixed else nn.Tanh(), nn.Linear(16, 16)]
    net = nn.Sequential(*layers, nn.Tanh(), nn.Linear(16, 2))
    epochs(t, net, torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), data, F.cross_entropy, count=15)
    return accuracy(net, data)


@faulty("exploding-gradients", "initial-loss")
def later_weights_of_unit_variance(t: Trial) -> float:
    data, net = table("digits", t.seed), nn.Sequential()
    for i in range(4):
        net += nn.Sequential(nn.Linear(64, 64), nn.ELU())
        if not t.fixed:
            nn.init.normal_(net[2 * i].weight)
    net.append(nn.Linear(64, 10))
    epochs(t, net, torch.optim.AdamW(net.parameters(), lr=1e-3), data, F.cross_entropy, count=4)
    return accuracy(net, data)


@faulty("sorted-batches")
def later_one_file_after_another(t: Trial) -> float:
    data = rings(t.seed)
    order = data.y.argsort(stable=True)
    net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    rows = TensorDataset(data.x[order], data.y[order])
    with t.doctor(net, optimizer):
        for _ in range(15):
            for x, y in DataLoader(rows, batch_size=25, shuffle=t.fixed):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
    return accuracy(net, data)


@faulty("dead-relu")
def later_biases_far_below(t: Trial) -> float:
    data, net = texts(t.seed), nn.Sequential(nn.Embedding(30, 8), nn.Flatten(), nn.Linear(80, 32), nn.ReLU())
    net.append(nn.Linear(32, 2))
    if not t.fixed:
        nn.init.constant_(net[2].bias, -15.0)
    epochs(t, net, torch.optim.SGD(net.parameters(), lr=0.1), data, F.cross_entropy)
    return accuracy(net, data)
