"""Healthy trainings written when the first checks were finished."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    healthy,
    r2,
)
from benchmarks.doctor.later_faulty import TinyResNet, Words, epochs, rings, texts
from torch import nn
from torch.nn import functional as F


@healthy
def later_residual_network(t: Trial) -> float:
    data, net = images(t.seed), TinyResNet()
    epochs(t, net, torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4), data, F.cross_entropy)
    return accuracy(net, data)


@healthy
def later_words(t: Trial) -> float:
    data, net = texts(t.seed), Words()
    epochs(t, net, torch.optim.Adam(net.parameters(), lr=1e-2), data, F.cross_entropy)
    return accuracy(net, data)


@healthy
def later_rings_with_a_plateau(t: Trial) -> float:
    data = rings(t.seed)
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2))
    epochs(t, net, torch.optim.Adam(net.parameters(), lr=3e-3), data, F.cross_entropy, count=20)
    return accuracy(net, data)


@healthy
def later_strong_dropout(t: Trial) -> float:
    data = table("digits", t.seed)
    net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.8), nn.Linear(256, 10))
    epochs(t, net, torch.optim.Adam(net.parameters(), lr=3e-3), data, F.cross_entropy)
    return accuracy(net, data)


@healthy
def later_autoencoder(t: Trial) -> float:
    original = images(t.seed)
    data = Data(original.x.flatten(1), original.x.flatten(1), original.x_test.flatten(1), original.x_test.flatten(1))
    net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 64), nn.Sigmoid())
    epochs(t, net, torch.optim.Adam(net.parameters(), lr=1e-2), data, nn.BCELoss())
    return r2(net, data)


@healthy
def later_weights_averaged(t: Trial) -> float:
    data = table("wine", t.seed)
    net = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
    mean = torch.optim.swa_utils.AveragedModel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with t.doctor(net, optimizer):
        for x, y in batches(data, 16, 150, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            mean.update_parameters(net)
    return accuracy(mean, data)


@healthy
def later_labels_with_noise(t: Trial) -> float:
    original = table("digits", t.seed)
    generator = torch.Generator().manual_seed(t.seed)
    wrong = torch.rand(len(original.y), generator=generator) < 0.4
    y = torch.where(wrong, torch.randint(0, 10, original.y.shape, generator=generator), original.y)
    data = Data(original.x, y, original.x_test, original.y_test)
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    epochs(t, net, torch.optim.SGD(net.parameters(), lr=0.05), data, F.cross_entropy)
    return accuracy(net, data)


@healthy
def later_distilled(t: Trial) -> float:
    data = table("digits", t.seed)
    teacher = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    teacher_optimizer = torch.optim.Adam(teacher.parameters(), lr=3e-3)
    for x, y in batches(data, 32, 200, t.seed):
        teacher_optimizer.zero_grad()
        F.cross_entropy(teacher(x), y).backward()
        teacher_optimizer.step()
    net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for x, y in batches(data, 32, 250, t.seed):
            with torch.no_grad():
                soft = F.softmax(teacher(x) / 3, 1)
            optimizer.zero_grad()
            out = net(x)
            (F.kl_div(F.log_softmax(out / 3, 1), soft, reduction="batchmean") * 9 + F.cross_entropy(out, y)).backward()
            optimizer.step()
    return accuracy(net, data)


@healthy
def later_quantiles(t: Trial) -> float:
    data = generate("friedman", t.seed)
    net = nn.Sequential(nn.Linear(10, 32), nn.ELU(), nn.Linear(32, 1))

    def pinball(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.maximum(0.5 * (y - out), -0.5 * (y - out)).mean()

    epochs(t, net, torch.optim.Adam(net.parameters(), lr=1e-2), data, pinball)
    return r2(net, data)


class Counts(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x).exp()


@healthy
def later_counts(t: Trial) -> float:
    original = generate("regression", t.seed)
    data = Data(
        original.x, (original.y * 0.5 + 1).exp().round(), original.x_test, (original.y_test * 0.5 + 1).exp().round()
    )
    net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))
    epochs(t, net, torch.optim.Adam(net.parameters(), lr=3e-3), data, nn.PoissonNLLLoss())
    return r2(Counts(net), data)


@healthy
def later_nearly_converged(t: Trial) -> float:
    data = table("iris", t.seed)
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for x, y in batches(data, 16, 400, t.seed):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    epochs(t, net, torch.optim.SGD(net.parameters(), lr=1e-3), data, F.cross_entropy, count=60)
    return accuracy(net, data)


@healthy
def later_contrastive_loss(t: Trial) -> float:
    data = table("digits", t.seed)
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for x, y in batches(data, 64, 250, t.seed):
            optimizer.zero_grad()
            half = len(x) // 2
            first, second, is_pair = net(x[:half]), net(x[half : 2 * half]), y[:half] == y[half : 2 * half]
            distance = (first - second).square().sum(1)
            torch.where(is_pair, distance, F.relu(1 - distance)).mean().backward()
            optimizer.step()
    with torch.no_grad():
        nearest = torch.cdist(net(data.x_test), net(data.x)).argmin(1)
        return float((data.y[nearest] == data.y_test).float().mean())
