"""A diagnosis is made once for a finished training, and what it trains has a bound."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.diagnosis import restart

X, Y = torch.randn(80, 6, generator=torch.Generator().manual_seed(0)), torch.arange(80) % 2


class CountedNet(nn.Module):
    """A perceptron that counts the forward passes of all its copies."""

    passes = 0

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        CountedNet.passes += 1
        return self.net(x)


def train():
    torch.manual_seed(0)
    net = CountedNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with yisheng.doctor(net, optimizer, data=(X[:40], Y[:40]), validation=(X[40:], Y[40:])) as doctor:
        for _ in range(60):
            optimizer.zero_grad()
            F.cross_entropy(net(X[:40]), Y[:40]).backward()
            optimizer.step()
    return net, doctor


def test_a_finished_training_is_diagnosed_once():
    _, doctor = train()
    first = doctor.diagnose()
    passes = CountedNet.passes
    assert doctor.diagnose() is first
    assert str(doctor) == str(first)
    assert doctor.findings == first.findings
    assert CountedNet.passes == passes


def test_what_changes_after_the_training_is_diagnosed_again():
    net, doctor = train()
    first = doctor.diagnose()
    doctor.validation(loss=0.7)
    second = doctor.diagnose()
    assert second is not first
    assert "validation" not in second.missing
    with torch.no_grad():
        net.net[0].weight.zero_()
    assert doctor.diagnose() is not second
    with doctor:
        assert doctor.diagnose() is not doctor.diagnose()  # unfinished


@pytest.mark.parametrize(("seconds", "updates"), [(1e-6, 60), (10.0, restart.MIN_TIMED_UPDATES)])
def test_a_training_that_would_take_too_long_is_left_early(monkeypatch, seconds, updates):
    net = CountedNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    beginning = restart.copy_beginning(net, optimizer, (X, Y), (X, Y))
    clock = itertools.count(step=seconds)
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    passes = CountedNet.passes
    loss = restart.train_again(beginning, 0.1, F.cross_entropy, (X, Y), (X, Y), steps=60, batch=8)
    is_complete = seconds < 1
    assert CountedNet.passes - passes == updates + is_complete
    assert (loss == loss) is is_complete
