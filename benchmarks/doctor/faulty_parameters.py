"""Trainings with a fault in parameters, optimizer, graph or initial weights.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import copy
import itertools

import torch
from benchmarks.doctor.datasets import generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    faulty,
    lenet,
    mlp,
    r2,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


# The parameters that the optimizer holds


@faulty("uncovered-parameters")
def optimizer_of_an_older_network(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    if not t.fixed:
        model = mlp(64, 32, 10)
    train(t, model, optimizer, data)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def optimizer_of_the_copied_network(t: Trial) -> float:
    data = images(t.seed)
    original = lenet()
    optimizer = Adam(original.parameters(), lr=3e-3)
    model = original if t.fixed else copy.deepcopy(original)
    train(t, model, optimizer, data, steps=150)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def head_replaced_after_the_optimizer(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 16, 1000)
    if t.fixed:
        model[2] = nn.Linear(16, 10)
    optimizer = SGD(model.parameters(), lr=0.02)
    if not t.fixed:
        model[2] = nn.Linear(16, 10)
    train(t, model, optimizer, data)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def layers_added_later(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh())
    if t.fixed:
        model.append(nn.Linear(16, 10))
    optimizer = SGD(model.parameters(), lr=0.1)
    if not t.fixed:
        model.append(nn.Linear(16, 10))
    train(t, model, optimizer, data, steps=200)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def only_the_head_is_trained(t: Trial) -> float:
    data = images(t.seed)
    model = lenet(act=nn.Tanh)
    optimizer = SGD(model.parameters() if t.fixed else model[-1].parameters(), lr=0.1)
    train(t, model, optimizer, data)
    return accuracy(model, data)


@faulty("uncovered-parameters")
def only_the_first_layer_is_trained(t: Trial) -> float:
    data = generate("table", t.seed)
    model = mlp(20, 32, 32, 5)
    optimizer = Adam(model.parameters() if t.fixed else model[0].parameters(), lr=1e-3)
    train(t, model, optimizer, data)
    return accuracy(model, data)


class ListNet(nn.Module):
    def __init__(self, sizes: list[int], registered: bool) -> None:
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes[:-1])]
        self.layers = nn.ModuleList(layers) if registered else layers
        self.head = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


@faulty("unregistered-parameters")
def layers_in_a_plain_list(t: Trial) -> float:
    data = table("digits", t.seed)
    model = ListNet([64, 16, 16, 16, 10], registered=t.fixed)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("unregistered-parameters")
def layers_in_a_plain_list_of_a_table(t: Trial) -> float:
    data = generate("moons", t.seed)
    model = ListNet([2, 8, 8, 2], registered=t.fixed)
    train(t, model, Adam(model.parameters(), lr=1e-2), data)
    return accuracy(model, data)


@faulty("frozen-parameters")
def body_frozen_by_mistake(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    if not t.fixed:
        for p in model[:-1].parameters():
            p.requires_grad = False
    train(t, model, SGD(model.parameters(), lr=0.1), data, steps=200)
    return accuracy(model, data)


@faulty("frozen-parameters")
def frozen_before_the_weights_were_trained(t: Trial) -> float:
    data = generate("table", t.seed)
    body, head = mlp(20, 8, 8), nn.Linear(8, 5)
    model = nn.Sequential(body, nn.ReLU(), head)
    body.requires_grad_(t.fixed)
    train(t, model, Adam(model.parameters(), lr=5e-3), data)
    return accuracy(model, data)


# The graph


class CutNet(nn.Module):
    def __init__(self, cut: str, columns: int, classes: int) -> None:
        super().__init__()
        self.cut = cut
        self.first, self.second, self.last = nn.Linear(columns, 16), nn.Linear(16, 16), nn.Linear(16, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x))
        if self.cut == "detach":
            x = x.detach()
        elif self.cut == "no_grad":
            with torch.no_grad():
                x = F.relu(self.second(x))
            return self.last(x)
        elif self.cut == "data":
            x = torch.tensor(x.tolist())
        return self.last(F.relu(self.second(x)))


@faulty("no-gradient")
def detached_features(t: Trial) -> float:
    data = table("digits", t.seed)
    model = CutNet("" if t.fixed else "detach", 64, 10)
    train(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("no-gradient")
def features_without_gradient(t: Trial) -> float:
    data = generate("blobs", t.seed)
    model = CutNet("" if t.fixed else "no_grad", 20, 6)
    train(t, model, SGD(model.parameters(), lr=0.05), data, steps=100)
    return accuracy(model, data)


@faulty("no-gradient")
def features_through_a_list(t: Trial) -> float:
    data = table("wine", t.seed)
    model = CutNet("" if t.fixed else "data", 13, 3)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=60)
    return accuracy(model, data)


@faulty("no-gradient")
def gradients_cleared_before_the_step(t: Trial) -> float:
    data = table("iris", t.seed)
    model = mlp(4, 16, 3)
    optimizer = Adam(model.parameters(), lr=1e-2)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 16, 150, t.seed):
            if t.fixed:
                optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            if not t.fixed:
                optimizer.zero_grad()
            optimizer.step()
    return accuracy(model, data)


# Initial weights


@faulty("symmetric-weights")
def constant_weights(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    if not t.fixed:
        for p in model.parameters():
            nn.init.constant_(p, 0.1)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("symmetric-weights")
def zero_weights(t: Trial) -> float:
    data = images(t.seed)
    model = lenet(act=nn.Tanh)
    if not t.fixed:
        for p in model.parameters():
            nn.init.zeros_(p)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=150)
    return accuracy(model, data)


@faulty("symmetric-weights")
def equal_hidden_weights(t: Trial) -> float:
    data = generate("table", t.seed)
    model = mlp(20, 32, 5, act=nn.Sigmoid)
    if not t.fixed:
        nn.init.ones_(model[0].weight)
        nn.init.zeros_(model[2].weight)
    train(t, model, SGD(model.parameters(), lr=0.5), data)
    return accuracy(model, data)


@faulty("symmetric-weights")
def equal_weights_of_custom_parameters(t: Trial) -> float:
    data = generate("friedman", t.seed)

    class CustomNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1 = nn.Parameter(torch.randn(16, 10) * 0.3 if t.fixed else torch.full((16, 10), 0.1))
            self.b1 = nn.Parameter(torch.zeros(16))
            self.w2 = nn.Parameter(torch.randn(1, 16) * 0.3 if t.fixed else torch.full((1, 16), 0.1))
            self.b2 = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(torch.relu(F.linear(x, self.w1, self.b1)), self.w2, self.b2)

    model = CustomNet()
    train(t, model, SGD(model.parameters(), lr=0.05), data, F.mse_loss, steps=400)
    return r2(model, data)
