"""Trainings that do something unusual and right are not accused of the fault that they look like."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from yisheng import check_data

from .small_trainings import list_alarms


def make_mlp(inputs, hidden, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def test_an_evaluation_with_gradients_is_one_of_the_trained_network():
    torch.manual_seed(0)
    x = torch.randn(600, 6)
    y = (x[:, 0] > 0).long()
    net = nn.Sequential(make_mlp(6, 32, 2), nn.Identity())
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(8):
            net.train()
            for index in torch.randperm(400).split(10):
                optimizer.zero_grad()
                F.cross_entropy(net(x[index]), y[index]).backward()
                optimizer.step()
            net.eval()
            dr.validation(score=0.96)  # a flat score of the trained network, which learned all in the first epoch
            net(x[400:])
    assert "evaluated-network" not in list_alarms(dr)


class Tagger(nn.Module):
    def __init__(self, words=20):
        super().__init__()
        self.vectors, self.layers = nn.Embedding(words, 32), make_mlp(32, 64, words)

    def forward(self, tokens):
        return self.layers(self.vectors(tokens))


@pytest.mark.parametrize("ends", [True, False])
def test_ignored_padding_is_meant_to_be_ignored(ends):
    """Words that count upwards; without a mark of the end, the ignored class is the end that is to be learned."""
    torch.manual_seed(0)
    tokens = torch.zeros(300, 12, dtype=torch.long)
    for row, length in enumerate(torch.randint(4, 10, (300,)).tolist()):
        tokens[row, :length] = 2 + (torch.arange(length) + row) % 17
        tokens[row, length] = 1 if ends else 0
    net = Tagger()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)

    def compute_loss(rows):
        return F.cross_entropy(net(rows[:, :-1]).transpose(1, 2), rows[:, 1:], ignore_index=0)

    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(12):
            net.train()
            for rows in tokens[:240][torch.randperm(240)].split(24):
                optimizer.zero_grad()
                compute_loss(rows).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                compute_loss(tokens[240:])
    assert "interpolated-targets" not in list_alarms(dr)
    assert ("missed-classes" in list_alarms(dr)) == (not ends)


class Inpainter(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = make_mlp(40, 64, 20)

    def forward(self, rows, hidden):
        return self.layers(torch.cat([rows.masked_fill(hidden, 0), hidden.float()], 1))


def test_hidden_values_are_not_copied():
    torch.manual_seed(0)
    rows = torch.randn(300, 4) @ torch.randn(4, 20)
    net = Inpainter()
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(15):
            for x in rows[torch.randperm(300)].split(30):
                hidden = torch.rand(x.shape) < 0.3
                optimizer.zero_grad()
                F.mse_loss(net(x, hidden), x).backward()
                optimizer.step()
    assert "copied-targets" not in list_alarms(dr)


def test_a_loss_that_depends_on_the_number_of_rows_is_not_compared():
    """InfoNCE over 16 rows in training and over 200 in evaluation: log(16) and log(200) before anything is learned."""
    torch.manual_seed(0)
    x = torch.randn(600, 12)
    net = make_mlp(12, 64, 8)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)

    def contrast(rows):
        first, second = (F.normalize(net(rows + 0.7 * torch.randn_like(rows)), dim=1) for _ in range(2))
        similarity = first @ second.T / 0.5
        return (similarity.logsumexp(1) - similarity.diagonal()).mean()

    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(12):
            net.train()
            for rows in x[:400][torch.randperm(400)].split(16):
                optimizer.zero_grad()
                contrast(rows).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=contrast(x[400:]).item())
    assert not {"memorization", "overfitting"} & set(list_alarms(dr))


def test_sparse_gradients_are_gradients():
    torch.manual_seed(0)
    net = nn.ModuleDict({name: nn.Embedding(50, 8, sparse=True) for name in ("left", "right")})
    optimizer = torch.optim.SparseAdam(list(net.parameters()), 0.02)
    pairs = torch.randint(0, 50, (800, 1)).repeat(1, 2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(4):
            for rows in pairs[torch.randperm(800)].split(40):
                optimizer.zero_grad()
                score = net["left"](rows[:, 0]) @ net["right"](rows[:, 1]).T
                F.cross_entropy(score, torch.arange(40)).backward()
                optimizer.step()
    assert "no-gradient" not in list_alarms(dr)
    gradients = [p.gradient for record in dr._recorder.records for p in record.parameters]
    assert all(gradient is not None and gradient > 0 for gradient in gradients)


@pytest.mark.parametrize("adds", [True, False])
def test_gradients_that_the_loop_adds_up_itself_are_not_discarded(adds):
    """A bound for the gradient of each row, as in differentially private training; without the sum one row counts."""
    torch.manual_seed(0)
    x = torch.randn(400, 5)
    y = (x.sum(1) > 0).long()
    net = make_mlp(5, 16, 2)
    parameters = list(net.parameters())
    optimizer = torch.optim.SGD(parameters, 0.1)
    with yisheng.doctor(net, optimizer) as dr:
        for index in torch.randperm(400).split(10):
            sums = [torch.zeros_like(p) for p in parameters]
            for row in index.split(1):
                optimizer.zero_grad()
                F.cross_entropy(net(x[row]), y[row]).backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                for total, p in zip(sums, parameters, strict=True):
                    total += p.grad
            if adds:
                for total, p in zip(sums, parameters, strict=True):
                    p.grad = total / len(index)
            optimizer.step()
    assert ("discarded-gradients" in list_alarms(dr)) == (not adds)


@pytest.mark.parametrize(("copies", "severity"), [("zeros", "note"), ("rows", "warning")])
def test_one_row_that_occurs_again_and_again_is_not_a_leak(copies, severity):
    torch.manual_seed(0)
    x, test = torch.randn(300, 6), torch.randn(100, 6)
    if copies == "zeros":
        x[::30], test[::10] = 0.0, 0.0
    else:
        test[::10] = x[::30]
    y, y_test = (x.sum(1) > 0).long(), (test.sum(1) > 0).long()
    leaks = [finding for finding in check_data(x, y, test=(test, y_test)).findings if finding.check == "leaking-rows"]
    assert [finding.severity for finding in leaks] == [severity]


@pytest.mark.parametrize(("squares", "severity"), [(False, "note"), (True, "warning")])
def test_a_mean_that_does_not_depend_on_the_inputs_is_not_everything(squares, severity):
    """The size of the targets depends on the inputs, their sign does not: a loss of likelihood learns the size."""
    torch.manual_seed(0)
    x = torch.rand(600, 3)
    y = x[:, :1] * torch.randn(600, 1).sign()
    net = make_mlp(3, 32, 1 if squares else 2)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer, data=(x[:400], y[:400]), validation=(x[400:], y[400:])) as dr:
        for _ in range(10):
            for index in torch.randperm(400).split(20):
                optimizer.zero_grad()
                output = net(x[index])
                if squares:
                    loss = F.mse_loss(output, y[index])
                else:
                    loss = (output[:, 1:] + ((y[index] - output[:, :1]) / output[:, 1:].exp()).square() / 2).mean()
                loss.backward()
                optimizer.step()
    findings = [finding for finding in dr.findings if finding.check == "no-signal"]
    assert [finding.severity for finding in findings] == [severity]


def test_rows_of_one_accumulated_batch_and_targets_of_another_are_not_compared():
    torch.manual_seed(0)
    x = torch.randn(60, 8)
    y = (x[:, 0] > 0).long()
    net = make_mlp(8, 16, 2)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for number in range(240):
            rows = torch.randint(0, 60, (16,))
            (F.cross_entropy(net(x[rows]), y[rows]) / 4).backward()
            if number % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    assert "misaligned-targets" not in list_alarms(dr)


def test_a_critic_is_not_what_is_evaluated():
    """The actor is evaluated, whose score hardly changes; the loss of the critic falls to far below zero."""
    torch.manual_seed(0)
    actor, critic = make_mlp(4, 16, 2), make_mlp(6, 16, 1)
    adams = [torch.optim.Adam(net.parameters(), lr=0.01) for net in (actor, critic)]
    state = torch.randn(200, 4)
    with yisheng.doctor(critic, adams[1]) as dr:
        for _ in range(8):
            for rows in torch.randperm(200).split(20):
                action = torch.randn(len(rows), 2)
                value = 3 - (action - state[rows, :2]).square().sum(1, keepdim=True)
                adams[1].zero_grad()
                F.mse_loss(critic(torch.cat([state[rows], action], 1)), value).backward()
                adams[1].step()
                adams[0].zero_grad()
                (-critic(torch.cat([state[rows], actor(state[rows])], 1)).mean()).backward()
                adams[0].step()
            dr.validation(score=0.9)
    assert "evaluated-network" not in list_alarms(dr)
