"""A loss that depends on which batch comes next, or on the returns of a policy, is not one of too large updates."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng.diagnosis.probe import probe_network

from .small_trainings import list_alarms


class Experts(nn.Module):
    """A network for each kind of rows, chosen by an argument; or one network that is told the kind."""

    def __init__(self, kinds, is_one_network):
        super().__init__()
        widths = [(6 + kinds, 32)] if is_one_network else [(6, 16)] * kinds
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, 1)) for inputs, width in widths
        )
        self.kinds, self.is_one_network = kinds, is_one_network

    def forward(self, x, kind):
        if not self.is_one_network:
            return self.parts[kind](x)
        code = F.one_hot(torch.full((len(x),), kind), self.kinds).float()
        return self.parts[0](torch.cat([x, code], 1))


@pytest.mark.parametrize("is_one_network", [False, True])
def test_batches_of_one_kind_each(is_one_network):
    torch.manual_seed(0)
    x, slope, size = torch.randn(4, 240, 6), torch.randn(4, 6, 1), torch.tensor([0.3, 1, 3, 1]).view(4, 1, 1)
    y = size * (torch.tanh(x @ slope) + 0.1 * torch.randn(4, 240, 1))
    net = Experts(4, is_one_network)
    optimizer = torch.optim.Adam(net.parameters(), 0.005)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(15):
            for kind in torch.randperm(4).tolist():
                for rows in torch.randperm(240).split(30):
                    optimizer.zero_grad()
                    F.mse_loss(net(x[kind, rows], kind), y[kind, rows]).backward()
                    optimizer.step()
    assert list_alarms(dr) == []


def test_tasks_that_alternate():
    """Class numbers and measurements in turn: the class numbers have two values, whatever the measurements have."""
    torch.manual_seed(0)
    x = torch.randn(300, 6)
    label, amount = (x[:, 0] > 0).long(), x[:, 1:2] + x[:, 2:3]
    body, classes, number = nn.Sequential(nn.Linear(6, 32), nn.ReLU()), nn.Linear(32, 2), nn.Linear(32, 1)
    net = nn.ModuleList([body, classes, number])
    optimizer = torch.optim.Adam(net.parameters(), 0.005)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(6):
            for task in (0, 1):
                for rows in torch.randperm(300).split(30):
                    optimizer.zero_grad()
                    h = body(x[rows])
                    loss = F.mse_loss(number(h), amount[rows]) if task else F.cross_entropy(classes(h), label[rows])
                    loss.backward()
                    optimizer.step()
    assert list_alarms(dr) == []


def play_signs(policy, limit):
    """Return log-probabilities and rewards of an episode that may end after each move that is not the state's sign."""
    log_probs, rewards = [], []
    while len(rewards) < limit:
        state = torch.randn(1, 2)
        choice = torch.distributions.Categorical(logits=policy(state))
        action = choice.sample()
        log_probs.append(choice.log_prob(action))
        rewards.append(1.0)
        if float(torch.rand(())) < (0.01 if bool(action) == bool(state[0, 0] > 0) else 0.5):
            break
    return log_probs, rewards


@pytest.mark.parametrize("form", ["stacked", "added"])
def test_loss_of_a_policy_grows_with_its_returns(form):
    torch.manual_seed(1)
    policy = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(policy.parameters(), 0.02)
    lengths = []
    with yisheng.doctor(policy, optimizer) as dr:
        for _ in range(160):
            log_probs, rewards = play_signs(policy, 40)
            lengths.append(len(rewards))
            total, returns = 0.0, []
            for reward in reversed(rewards):
                total = reward + 0.99 * total
                returns.insert(0, total)
            if form == "stacked":
                loss = -(torch.cat(log_probs) * torch.tensor(returns)).sum()
            else:
                loss = sum(-log_p.sum() * value for log_p, value in zip(log_probs, returns, strict=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert sum(lengths[-20:]) > 2 * sum(lengths[:20])
    assert list_alarms(dr) == []


def test_predictions_for_rows_that_are_all_the_same():
    """They say nothing about the predictions for other rows."""
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
    assert probe_network(net, (torch.ones(16, 3),)).between_rows is None
    assert probe_network(net, (torch.randn(16, 3),)).between_rows > 0.01
