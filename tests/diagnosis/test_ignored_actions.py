"""Losses of values of actions: of those that were taken, and of the best ones."""

from collections import namedtuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import list_alarms, make_mlp

ROWS, ACTIONS = 32, 4
Batch = namedtuple("Batch", ["state", "action", "reward"])

READS = {
    "largest": (True, lambda q, a: q.max(1).values),
    "largest with its axis": (True, lambda q, a: q.max(-1, keepdim=True)[0].squeeze(-1)),
    "amax": (True, lambda q, a: q.amax(dim=-1)),
    "gathered at the largest": (True, lambda q, a: q.gather(1, q.argmax(1, keepdim=True)).squeeze(1)),
    "index of the largest": (True, lambda q, a: q[torch.arange(len(q)), q.argmax(1)]),
    "topk": (True, lambda q, a: q.topk(1).values.squeeze(1)),
    "gathered": (False, lambda q, a: q.gather(1, a[:, None]).squeeze(1)),
    "index": (False, lambda q, a: q[torch.arange(len(q)), a]),
    "one-hot": (False, lambda q, a: (q * F.one_hot(a, ACTIONS)).sum(1)),
    "mean": (False, lambda q, a: q.mean(1)),
}
LOSSES = {
    "smooth": F.smooth_l1_loss,
    "from scratch": lambda q, r: (r - q).pow(2).mean(),
}


def make_rows(steps=24):
    torch.manual_seed(0)
    state = torch.randn(steps * ROWS, 6)
    reward = torch.tanh(state @ torch.randn(6, ACTIONS))
    action = torch.randint(0, ACTIONS, (len(state),))
    return state, action, reward.gather(1, action[:, None]).squeeze(1)


def train(read, loss=F.mse_loss):
    state, action, reward = make_rows()
    net = make_mlp(6, 16, ACTIONS)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for s, actions, r in zip(state.split(ROWS), action.split(ROWS), reward.split(ROWS), strict=True):
            optimizer.zero_grad()
            loss(read(net(s), actions), r).backward()
            optimizer.step()
    return dr


@pytest.mark.parametrize("name", READS)
def test_what_the_loss_reads(name):
    is_faulty, read = READS[name]
    dr = train(read)
    assert ("ignored-actions" in list_alarms(dr)) == is_faulty
    if is_faulty:
        assert dr.findings[0].check == "ignored-actions"
        assert "actions.view(-1, 1)" in dr.findings[0].remedy


@pytest.mark.parametrize("loss", LOSSES)
def test_forms_of_the_loss(loss):
    assert list_alarms(train(READS["largest"][1], LOSSES[loss]))[:1] == ["ignored-actions"]


def update(net, target, optimizer, batch, reads_largest):
    """Make an update of Q-learning with a target network."""
    q = net(batch.state)
    chosen = q.max(1).values if reads_largest else q.gather(1, batch.action).squeeze(1)
    with torch.no_grad():
        expected = batch.reward + 0.9 * target(batch.state.roll(1, 0)).max(1).values
    optimizer.zero_grad()
    F.smooth_l1_loss(chosen, expected).backward()
    optimizer.step()


@pytest.mark.parametrize("reads_largest", [True, False])
def test_target_of_the_same_network_that_is_detached(reads_largest):
    net = make_mlp(6, 16, ACTIONS)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for s, action, r in zip(*(part.split(ROWS) for part in make_rows()), strict=True):
            q = net(s)
            chosen = q.max(1)[0] if reads_largest else q.gather(1, action[:, None])[:, 0]
            expected = r + 0.9 * net(s.roll(1, 0)).max(1)[0].detach()
            optimizer.zero_grad()
            F.mse_loss(chosen, expected).backward()
            optimizer.step()
    assert ("ignored-actions" in list_alarms(dr)) == reads_largest


@pytest.mark.parametrize("reads_largest", [True, False])
def test_actions_in_a_named_tuple_and_a_target_with_the_maximum(reads_largest):
    net, target = make_mlp(6, 16, ACTIONS), make_mlp(6, 16, ACTIONS)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for state, action, reward in zip(*(part.split(ROWS) for part in make_rows()), strict=True):
            update(net, target, optimizer, Batch(state, action[:, None], reward), reads_largest)
    assert ("ignored-actions" in list_alarms(dr)) == reads_largest


def test_agent_that_always_takes_the_best_action():
    torch.manual_seed(0)
    state, slope = torch.randn(24 * ROWS, 6), torch.randn(6, ACTIONS)
    net = make_mlp(6, 16, ACTIONS)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for s in state.split(ROWS):
            value, action = net(s).max(1)
            reward = torch.tanh(s @ slope)[torch.arange(len(s)), action]
            optimizer.zero_grad()
            F.mse_loss(value, reward).backward()
            optimizer.step()
    assert "ignored-actions" not in list_alarms(dr)


def test_largest_of_several_planes_without_actions():
    state, _, reward = make_rows()
    net = nn.Linear(6, ACTIONS)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for s, r in zip(state.split(ROWS), reward.split(ROWS), strict=True):
            optimizer.zero_grad()
            F.mse_loss(net(s).max(1).values, r).backward()
            optimizer.step()
    assert "ignored-actions" not in list_alarms(dr)
