"""Terms of a loss that have become numbers without a gradient, and numbers that are meant to be in a loss."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng

from .small_trainings import list_alarms

CHECK = "detached-loss"


class Coder(nn.Module):
    """A network that also returns its hidden units."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x):
        hidden = torch.tanh(self.first(x))
        return self.last(hidden), hidden


def train(compute_loss, updates=60, lr=0.01):
    """Return the doctor of a training with a loss of the network, its outputs, hidden units and targets."""
    torch.manual_seed(0)
    net = Coder()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    x = torch.randn(240, 8)
    y = x[:, :3].argmax(1)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(updates // 10):
            for rows in torch.randperm(240).split(24):
                optimizer.zero_grad()
                compute_loss(net, *net(x[rows]), y[rows]).backward()
                optimizer.step()
    return dr


def count_norms(net, *_):
    return 1e-3 * sum(p.norm().item() for p in net.parameters())


@torch.no_grad()
def square_weights(net, *_):
    return 0.01 * sum(p.square().sum() for p in net.parameters() if p.ndim > 1)


def add_in_place(net, output, hidden, y):
    loss = F.cross_entropy(output, y)
    loss += 0.01 * sum(p.abs().sum() for p in net.parameters()).item()
    return loss


PENALTIES = {
    "norms": count_norms,
    "squares without gradient": square_weights,
    "values of data": lambda net, *_: 1e-3 * net.first.weight.data.abs().sum(),
    "activations by item": lambda _, __, hidden, ___: 0.1 * hidden.abs().mean().item(),
    "activations detached": lambda _, __, hidden, ___: 0.1 * hidden.square().mean().detach(),
    "another loss": lambda _, output, hidden, y: 0.5 * F.mse_loss(output[:, 0], y.float()).item(),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_that_is_a_number(name):
    def compute_loss(net, output, hidden, y):
        return F.cross_entropy(output, y) + PENALTIES[name](net, output, hidden, y)

    dr = train(compute_loss)
    assert list_alarms(dr)[0] == CHECK
    assert "a number without a gradient" in dr.findings[0].cause


def test_number_that_is_added_in_place_and_then_divided():
    assert list_alarms(train(lambda *arguments: add_in_place(*arguments) / 2))[0] == CHECK


def entropy_of_targets(net, output, hidden, y):
    soft = F.one_hot(y, 3) * 0.5 + torch.rand(len(y), 3).softmax(1) * 0.5
    return -(soft * output.log_softmax(1)).sum(1).mean() - torch.special.entr(soft).sum(1).mean()


def shown_with_another_value(net, output, hidden, y):
    loss = F.cross_entropy(output, y)
    return loss - loss.detach() + 1.0


class Balanced:
    """Two losses whose distance from their running mean counts: the number is inside of an absolute value."""

    mean = 1.0

    def __call__(self, net, output, hidden, y):
        loss = F.cross_entropy(output, y)
        self.mean = 0.99 * self.mean + 0.01 * loss.item()
        return loss + 0.1 * (loss - self.mean).abs()


class Logged:
    """A running mean that is only logged."""

    mean = 1.0

    def __call__(self, net, output, hidden, y):
        loss = F.cross_entropy(output, y)
        self.mean = (0.99 * self.mean + 0.01 * loss).item()
        return loss


HEALTHY = {
    "penalty with a gradient": lambda net, output, _, y: (
        F.cross_entropy(output, y) + 1e-3 * sum(p.abs().sum() for p in net.parameters())
    ),
    "entropy of the targets": entropy_of_targets,
    "constant": lambda net, output, _, y: F.cross_entropy(output, y) + math.log(len(y)),
    "flooding": lambda net, output, _, y: (F.cross_entropy(output, y) - 0.02).abs() + 0.02,
    "another value": shown_with_another_value,
    "distance from a running mean": Balanced(),
    "logged": Logged(),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_number_that_is_meant_to_be_one(name):
    assert CHECK not in list_alarms(train(HEALTHY[name]))
