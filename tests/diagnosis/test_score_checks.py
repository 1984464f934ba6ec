"""Bounded scores, predictions cut off, terms that outweigh the loss, classes left out, reports that stay equal."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng
from tests.diagnosis.small_trainings import make_classes, make_line, make_mlp

X, Y = make_classes()


def train(net, loss, y=Y, x=X, *, epochs=12, optimizer=None, report=None, evaluates=True):
    """Train on two thirds of the rows, evaluate the others after each epoch, and return the diagnosis."""
    torch.manual_seed(0)
    optimizer, rows = optimizer or torch.optim.Adam(net.parameters(), lr=0.01), 2 * len(x) // 3
    with yisheng.doctor(net, optimizer) as doctor:
        for _ in range(epochs):
            for batch in torch.randperm(rows).split(32):
                optimizer.zero_grad()
                loss(net(x[batch]), y[batch]).backward()
                optimizer.step()
            with torch.no_grad():
                if report is not None:
                    doctor.validation(**report(net(x[rows:]), y[rows:]))
                elif evaluates:
                    loss(net(x[rows:]), y[rows:])
    return doctor.diagnose()


def list_checks(diagnosis):
    return [finding.check for finding in diagnosis.findings if finding.severity != "note"]


class Cosines(nn.Module):
    def __init__(self, scale, classes=3):
        super().__init__()
        self.body, self.scale = make_mlp(8, 32, 16), scale
        self.vectors = nn.Parameter(torch.randn(16, classes))

    def forward(self, x):
        return self.scale * F.normalize(self.body(x), dim=1) @ F.normalize(self.vectors, dim=0)


@pytest.mark.parametrize(("scale", "checks"), [(1.0, ["bounded-scores"]), (12.0, [])])
def test_cosines_need_a_scale(scale, checks):
    torch.manual_seed(0)
    diagnosis = train(Cosines(scale), F.cross_entropy)
    assert list_checks(diagnosis) == checks
    if checks:
        floor = math.log1p(2 * math.exp(-2))
        assert diagnosis.findings[0].evidence["smallest possible loss"] == pytest.approx(floor, rel=0.1)


def test_network_that_ends_in_a_normalization_and_a_layer_is_not_bounded():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 3))
    assert list_checks(train(net, F.cross_entropy)) == []


@pytest.mark.parametrize(("factor", "checks"), [(0.3, ["outweighed-loss"]), (1e-5, [])])
def test_penalty_that_outweighs_the_loss(factor, checks):
    torch.manual_seed(0)
    net = make_mlp(8, 64, 64, 3)
    sgd = torch.optim.SGD(net.parameters(), lr=0.02)

    def loss(output, y):
        return F.cross_entropy(output, y) + factor * sum(p.abs().sum() for p in net.parameters())

    assert list_checks(train(net, loss, optimizer=sgd))[:1] == checks


@pytest.mark.parametrize(("is_argmax", "checks"), [(True, ["evaluated-scores"]), (False, [])])
def test_score_that_never_changes_while_the_loss_falls(is_argmax, checks):
    torch.manual_seed(0)
    y = (Y > 0).float()

    def report(output, target):
        predicted = output.argmax(1) if is_argmax else (output[:, 0] > 0).long()
        loss = F.binary_cross_entropy_with_logits(output[:, 0], target)
        return {"loss": float(loss), "score": float((predicted == target).float().mean())}

    def loss(output, target):
        return F.binary_cross_entropy_with_logits(output[:, 0], target)

    assert list_checks(train(make_mlp(8, 16, 1), loss, y, report=report)) == checks


@pytest.mark.parametrize(("count", "checks"), [(24, ["unused-rows"]), (320, [])])
def test_loop_that_draws_from_a_few_of_the_given_rows(count, checks):
    x = torch.randn(480, 12, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] + x[:, 1] > 0).long()
    torch.manual_seed(0)
    net = make_mlp(12, 32, 2)
    adam = torch.optim.Adam(net.parameters(), lr=0.005)
    with yisheng.doctor(net, adam, data=(x[:320], y[:320]), validation=(x[320:], y[320:])) as doctor:
        for _ in range(120 if count < 320 else 10):
            for rows in torch.randperm(count).split(32):
                adam.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                adam.step()
    assert list_checks(doctor.diagnose())[:1] == checks


@pytest.mark.parametrize(("ignored", "checks"), [(2, ["missed-classes"]), (-100, [])])
def test_class_that_the_loss_ignores(ignored, checks):
    torch.manual_seed(0)
    diagnosis = train(make_mlp(8, 32, 3), lambda output, y: F.cross_entropy(output, y, ignore_index=ignored))
    assert list_checks(diagnosis) == checks
    if checks:
        assert "the loss leaves it out by ignore_index=2" in diagnosis.findings[0].cause


@pytest.mark.parametrize(("eps", "checks"), [(1000.0, ["low-learning-rate"]), (1e-8, [])])
def test_eps_far_above_the_gradients(eps, checks):
    torch.manual_seed(0)
    net = make_mlp(8, 32, 3)
    diagnosis = train(net, F.cross_entropy, optimizer=torch.optim.Adam(net.parameters(), lr=0.01, eps=eps))
    assert list_checks(diagnosis) == checks
    if checks:
        assert "eps=1000" in diagnosis.findings[0].cause
        assert "eps=1e-8" in diagnosis.findings[0].remedy


@pytest.mark.parametrize(("high", "checks"), [(0.5, ["target-range"]), (100.0, [])])
def test_predictions_that_are_cut_off(high, checks):
    x, y = make_line()
    torch.manual_seed(0)
    diagnosis = train(make_mlp(8, 32, 1), lambda output, y: F.mse_loss(output.clamp(-high, high), y), y, x)
    assert list_checks(diagnosis)[:1] == checks
    if checks:
        assert "the output of clamp is between -0.5 and 0.5" in diagnosis.findings[0].cause


@pytest.mark.parametrize(
    ("transform", "log_input", "checks"),
    [
        (F.softplus, True, ["loss-pairing"]),
        (torch.exp, True, ["loss-pairing"]),
        (F.softplus, False, []),
        (lambda output: output, True, []),
    ],
)
def test_rates_of_a_poisson_loss(transform, log_input, checks):
    x, line = make_line()
    y = torch.poisson(line.exp(), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)

    def loss(output, y):
        return F.poisson_nll_loss(transform(output), y, log_input=log_input)

    diagnosis = train(make_mlp(8, 32, 1), loss, y, x, optimizer=None, evaluates=False)
    assert list_checks(diagnosis)[:1] == checks
