"""Trainings with a fault in depth, initial weights, activations or weight decay.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    faulty,
    lenet,
    mlp,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD
LARGE = ("exploding-gradients", "initial-loss")


def initialize(model: nn.Module, std: float) -> nn.Module:
    for p in model.parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=std)
    return model


@faulty("vanishing-gradients", "low-learning-rate")
def deep_sigmoids(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, *[32] * 8, 10, act=nn.ReLU if t.fixed else nn.Sigmoid)
    if t.fixed:
        for p in model.parameters():
            if p.ndim > 1:
                nn.init.kaiming_normal_(p)
    train(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("vanishing-gradients", "low-learning-rate")
def deep_sigmoids_with_adam(t: Trial) -> float:
    data = generate("table", t.seed)
    layers: list[nn.Module] = [nn.Linear(20, 32)]
    for _ in range(9):
        layers += [nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32)] if t.fixed else [nn.Sigmoid(), nn.Linear(32, 32)]
    model = nn.Sequential(*layers, nn.ReLU() if t.fixed else nn.Sigmoid(), nn.Linear(32, 5))
    train(t, model, Adam(model.parameters(), lr=1e-3), data)
    return accuracy(model, data)


@faulty("vanishing-gradients", "low-learning-rate")
def weights_too_small(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 32, 10, act=nn.Tanh)
    if not t.fixed:
        initialize(model, 0.005)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("vanishing-gradients", "low-learning-rate")
def weights_too_small_for_relu(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    if not t.fixed:
        initialize(model, 1e-3)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty(*LARGE)
def weights_too_large(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 64, 64, 10)
    if not t.fixed:
        initialize(model, 1.0)
    train(t, model, Adam(model.parameters(), lr=1e-3), data, steps=200)
    return accuracy(model, data)


@faulty(*LARGE)
def weights_too_large_for_images(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    if not t.fixed:
        initialize(model, 1.0)
    train(t, model, Adam(model.parameters(), lr=2e-3), data, steps=150)
    return accuracy(model, data)


@faulty(*LARGE, "saturated-activation")
def a_head_too_large(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10, act=nn.Tanh)
    if not t.fixed:
        nn.init.normal_(model[2].weight, std=10.0)
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@faulty(*LARGE)
def deep_and_too_large(t: Trial) -> float:
    data = generate("blobs", t.seed)
    model = mlp(20, *[32] * 6, 6)
    if not t.fixed:
        initialize(model, 0.8)
    train(t, model, Adam(model.parameters(), lr=1e-3), data)
    return accuracy(model, data)


@faulty("saturated-activation", "initial-loss")
def saturated_tanh(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 10, act=nn.Tanh)
    if not t.fixed:
        for layer in (model[0], model[2]):
            nn.init.normal_(layer.weight, std=8.0)
    train(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("saturated-activation", "initial-loss")
def saturated_sigmoids(t: Trial) -> float:
    data = generate("table", t.seed)
    model = mlp(20, 32, 32, 5, act=nn.Sigmoid)
    if not t.fixed:
        for layer in (model[0], model[2]):
            nn.init.normal_(layer.weight, std=0.5)
            nn.init.constant_(layer.bias, -12.0)
    train(t, model, Adam(model.parameters(), lr=1e-2), data)
    return accuracy(model, data)


@faulty("dead-relu")
def dead_from_the_beginning(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 10)
    if not t.fixed:
        nn.init.constant_(model[2].bias, -20.0)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("dead-relu")
def dead_functional_relus(t: Trial) -> float:
    data = images(t.seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.hidden, self.out = nn.Conv2d(1, 8, 3), nn.Linear(288, 32), nn.Linear(32, 10)
            if not t.fixed:
                nn.init.constant_(self.conv.bias, -10.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.conv(x)).flatten(1)
            return self.out(torch.tanh(self.hidden(x)))

    model = Net()
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("strong-decay")
def decay_shrinks_the_weights(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    train(t, model, SGD(model.parameters(), lr=0.1, weight_decay=1e-4 if t.fixed else 1.0), data)
    return accuracy(model, data)


@faulty("strong-decay")
def decay_of_adamw_shrinks_the_weights(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    decay = 1e-2 if t.fixed else 30.0
    train(t, model, torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=decay), data, steps=150)
    return accuracy(model, data)
