"""Weights at the end that neither validation loss nor score selects: of the best training loss, of old checkpoints."""

import copy
import io
import math

import pytest
import torch
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import list_alarms, make_mlp


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def make_noisy_rows(is_class, rows=400):
    """Return rows whose target is half noise, so that a network learns 100 of them by heart."""
    x = torch.randn(rows, 12)
    y = x[:, :1] - x[:, 1:2] + 1.4 * torch.randn(rows, 1)
    return x, (y[:, 0] > 0).long() if is_class else y


def train_and_restore(rows, choose, *, is_class=False, epochs=30, lr=1e-2, reports_score=True, gives_rows=False):
    """Train a network, and load what ``choose(epoch, training loss, validation loss, score)`` saved at last."""
    x, y = rows
    held_out = slice(200, None)
    net = make_mlp(12, 64, 2 if is_class else 1)
    optimizer = torch.optim.Adam(net.parameters(), lr)
    loss = F.cross_entropy if is_class else F.mse_loss
    parts = {"data": (x[:100], y[:100]), "validation": (x[held_out], y[held_out])} if gives_rows else {}
    weights = copy.deepcopy(net.state_dict())

    def evaluate():
        net.eval()
        with torch.no_grad():
            out = net(x[held_out])
        score = (out.argmax(1) == y[held_out]).float().mean().item() if is_class else math.nan
        return loss(out, y[held_out]).item(), score

    def report(value, score):
        dr.validation(loss=value, **({"score": score} if is_class and reports_score else {}))

    with yisheng.doctor(net, optimizer, **parts) as dr:
        for epoch in range(epochs):
            net.train()
            total = 0.0
            for batch in torch.randperm(100).split(25):
                optimizer.zero_grad()
                value = loss(net(x[batch]), y[batch])
                value.backward()
                optimizer.step()
                total += value.item() / 4
            held_out_loss, score = evaluate()
            report(held_out_loss, score)
            saved = choose(epoch, total, held_out_loss, score, net)
            weights = weights if saved is None else saved
        net.load_state_dict(weights)
        if not gives_rows:
            report(*evaluate())
    return dr


def select(name):
    """Return a function that saves the weights when one of its arguments is better than before."""
    best = [math.inf]

    def choose(epoch, training, loss, score, net):
        value = {"training": training, "loss": loss, "score": -score}[name]
        if value >= best[0]:
            return None
        best[0] = value
        return copy.deepcopy(net.state_dict())

    return choose


@pytest.mark.parametrize("gives_rows", [False, True])
@pytest.mark.parametrize(("is_class", "by"), [(False, "training"), (True, "training"), (False, "loss"), (True, "loss")])
def test_weights_of_the_lowest_training_loss(is_class, by, gives_rows):
    dr = train_and_restore(make_noisy_rows(is_class), select(by), is_class=is_class, gives_rows=gives_rows)
    is_named = "training-loss-selection" in list_alarms(dr)
    assert is_named == (by == "training")
    if is_named:
        assert "validation loss" in dr.findings[0].cause


@pytest.mark.parametrize("reports_score", [False, True])
def test_weights_of_the_best_score_may_have_a_large_loss(reports_score):
    """The accuracy is best late, where the loss has risen far."""
    rows = make_noisy_rows(is_class=True)
    dr = train_and_restore(rows, select("score"), is_class=True, lr=3e-2, reports_score=reports_score)
    assert not {"training-loss-selection", "old-checkpoint", "reversed-selection"} & set(list_alarms(dr))


def test_saved_weights_that_are_not_a_copy():
    """``state_dict()`` has the parameters themselves, so the last weights are loaded whatever was selected."""
    best = [math.inf]

    def choose(epoch, training, loss, score, net):
        best[0] = min(best[0], loss)
        return net.state_dict() if loss == best[0] else None

    dr = train_and_restore(make_noisy_rows(is_class=False), choose)
    assert dr.findings[0].check == "training-loss-selection"
    assert "deepcopy" in dr.findings[0].remedy


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("is_class", [False, True])
def test_checkpoint_of_an_epoch_before_much_better_ones(is_class, fixed):
    x = torch.randn(400, 12)
    y = x[:, :1] - x[:, 1:2]
    rows = (x, (y[:, 0] > 0).long() if is_class else y)
    file = io.BytesIO()

    def choose(epoch, training, loss, score, net):
        nonlocal file
        if epoch % 8 == (7 if fixed else 2) and (fixed or epoch < 8):
            file = io.BytesIO()
            torch.save(net.state_dict(), file)
        file.seek(0)
        return torch.load(file) if epoch == 15 else None

    dr = train_and_restore(rows, choose, is_class=is_class, epochs=16, lr=3e-3)
    assert ("old-checkpoint" in list_alarms(dr)) == (not fixed)


def test_limited_weights_are_not_loaded_ones():
    """A limit of the weights after each update changes them after the last one, before it is evaluated."""
    x, y = make_noisy_rows(is_class=False)
    net = make_mlp(12, 64, 1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    with yisheng.doctor(net, optimizer, data=(x[:100], y[:100]), validation=(x[200:], y[200:])) as dr:
        for _ in range(30):
            for batch in torch.randperm(100).split(25):
                optimizer.zero_grad()
                F.mse_loss(net(x[batch]), y[batch]).backward()
                optimizer.step()
                with torch.no_grad():
                    net[0].weight.copy_(net[0].weight.renorm(2, 0, 10.0))
            with torch.no_grad():
                losses.append(F.mse_loss(net(x[200:]), y[200:]).item())
            dr.validation(loss=losses[-1])
    assert losses[-1] > 1.25 * min(losses)
    assert "training-loss-selection" not in list_alarms(dr)
