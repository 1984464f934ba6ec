"""Causes are named only if they can have done it, whatever style the loop is written in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.doctor import doctor


class BareWeights(nn.Module):
    """A hidden layer of parameters that were drawn by ``torch.randn``, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(32, 8) * 8**-0.5), nn.Parameter(torch.zeros(32))
        self.head = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> Any:
        """Return the logits of rows ``(N, 8)``."""
        return self.head(F.relu(F.linear(x, self.weight, self.bias)))


def learn(
    network: nn.Module, optimizers: list[torch.optim.Optimizer], *, epochs: int = 8, classes: Callable[..., Any]
) -> list[str]:
    """Train by one or more optimizers, evaluate each epoch, and return the checks that the doctor names."""
    x = torch.randn(1000, 8, generator=torch.Generator().manual_seed(1))
    y = classes(x)
    with doctor(network, optimizers[0]) as observer:
        for _ in range(epochs):
            for rows in torch.randperm(800).split(40):
                for optimizer in optimizers:
                    optimizer.zero_grad()
                F.cross_entropy(network(x[rows]), y[rows]).backward()
                for optimizer in optimizers:
                    optimizer.step()
            with torch.no_grad():
                F.cross_entropy(network(x[800:]), y[800:])
    return [finding.check for finding in observer.findings if finding.severity != "note"]


def thirds(x: torch.Tensor) -> torch.Tensor:
    return torch.bucketize(x[:, 0].contiguous(), torch.tensor([-0.4, 0.4]))


def rare(x: torch.Tensor) -> torch.Tensor:
    return torch.bucketize(x[:, 0].contiguous(), torch.tensor([1.5, 1.7]))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("rate", "expected"), [(0.1, []), (30.0, ["high-learning-rate"])])
def test_two_optimizers_of_one_network_are_one_training(rate: float, expected: list[str]) -> None:
    network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    parts = [torch.optim.SGD(layer.parameters(), rate) for layer in (network[0], network[2])]
    assert learn(network, parts, classes=thirds)[:1] == expected


def test_bare_weights_that_no_optimizer_holds_are_named() -> None:
    network = BareWeights()
    optimizer = torch.optim.SGD(network.head.parameters(), 0.1)
    assert learn(network, [optimizer], classes=thirds)[:1] == ["uncovered-parameters"]
    assert learn(network, [torch.optim.SGD(network.parameters(), 0.1)], classes=thirds) == []


def test_units_that_are_dead_from_the_start_are_no_fault_of_the_rate() -> None:
    network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
    with torch.no_grad():
        for layer in (network[0], network[2]):
            layer.bias.fill_(-30)
    assert learn(network, [torch.optim.SGD(network.parameters(), 0.1)], classes=thirds)[:1] == ["dead-relu"]


def test_a_rate_that_diverges_is_named_before_the_classes_that_it_misses() -> None:
    network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    checks = learn(network, [torch.optim.SGD(network.parameters(), 300.0)], classes=rare)
    assert checks[:1] == ["high-learning-rate"]


def test_decay_of_layers_is_seen_below_vectors_of_tokens() -> None:
    network = nn.Sequential(nn.Embedding(20, 16), nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 20))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3, weight_decay=1.0)
    x = torch.randint(0, 20, (800, 1), generator=torch.Generator().manual_seed(1))
    with doctor(network, optimizer) as observer:
        for _ in range(15):
            for rows in torch.randperm(800).split(40):
                optimizer.zero_grad()
                F.cross_entropy(network(x[rows]), (x[rows, 0] + 1) % 20).backward()
                optimizer.step()
    assert [finding.check for finding in observer.findings][:1] == ["strong-decay"]
