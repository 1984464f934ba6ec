"""Weights of losses that are parameters, with and without a penalty."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.diagnosis.loss_weights import read_loss_weights

from .small_trainings import list_alarms

X = torch.randn(240, 6, generator=torch.Generator().manual_seed(0))
LABELS, AMOUNTS = (X[:, 0] > 0).long(), X[:, 1] + 0.3 * X[:, 2]


class TwoTasks(nn.Module):
    """A trunk with two heads, and a number for each loss."""

    def __init__(self, start):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        self.label, self.amount = nn.Linear(16, 2), nn.Linear(16, 1)
        self.s = nn.Parameter(torch.full((2,), start))

    def forward(self, x):
        h = self.trunk(x)
        return self.label(h), self.amount(h).squeeze(1)


FAULTY = {
    "product": (1.0, lambda s, losses: (s * losses).sum()),
    "one by one": (1.0, lambda s, losses: s[0] * losses[0] + s[1] * losses[1]),
    "exponential": (0.0, lambda s, losses: ((-s).exp() * losses).mean()),
    "quotient": (1.0, lambda s, losses: (losses / (2 * s**2)).sum()),
}
HEALTHY = {
    "exponential and penalty": (0.0, lambda s, losses: ((-s).exp() * losses + s).sum()),
    "quotient and penalty": (1.0, lambda s, losses: (losses / (2 * s**2)).sum() + s.abs().log().sum()),
    "normalized": (0.0, lambda s, losses: (s.softmax(0) * losses).sum()),
    "constant": (1.0, lambda s, losses: (s.detach() * losses).sum()),
    "adversarial": (1.0, lambda s, losses: ((2 * s.detach() - s) * losses).sum()),
}


def train_two_tasks(start, combine):
    torch.manual_seed(0)
    net = TwoTasks(start)
    optimizer = torch.optim.Adam(
        [{"params": [p for p in net.parameters() if p is not net.s]}, {"params": [net.s]}], 0.01
    )
    optimizer.param_groups[1]["lr"] = 0.02
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(14):
            for rows in torch.randperm(240).split(30):
                label, amount = net(X[rows])
                losses = torch.stack([F.cross_entropy(label, LABELS[rows]), F.mse_loss(amount, AMOUNTS[rows])])
                optimizer.zero_grad()
                combine(net.s, losses).backward()
                optimizer.step()
    return dr


@pytest.mark.parametrize("form", FAULTY)
def test_learned_weights_without_penalty(form):
    assert list_alarms(train_two_tasks(*FAULTY[form]))[:1] == ["learned-loss-weights"]


@pytest.mark.parametrize("form", HEALTHY)
def test_learned_weights_that_something_keeps(form):
    assert "learned-loss-weights" not in list_alarms(train_two_tasks(*HEALTHY[form]))


def test_a_critic_whose_last_layer_is_a_product():
    """The last layer of a critic multiplies features of rows, not losses."""
    v, h = nn.Parameter(torch.ones(8)), torch.randn(32, 8, requires_grad=True)
    assert read_loss_weights((h * v).sum(1).mean().grad_fn) == ()
