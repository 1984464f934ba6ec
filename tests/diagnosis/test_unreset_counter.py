"""Counters of early stopping that are never reset."""

import math

import pytest
import torch
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import list_alarms, make_mlp

LOSSES = [1.0, 0.9, 0.95, 0.8, 0.7, 0.75, 0.6, 0.5, 0.55, 0.45, 0.46, 0.47, 0.48, 0.49]
"""Validation losses that improve to the tenth; the third, sixth and ninth are larger than those before."""


class EarlyStopping:
    def __init__(self, patience, resets):
        self.patience, self.resets = patience, resets
        self.wait, self.best_value = 0, math.inf

    def is_over(self, value):
        if value < self.best_value:
            self.best_value, self.wait = value, 0 if self.resets else self.wait
        else:
            self.wait += 1
        return self.wait >= self.patience


def take_step(net, optimizer):
    optimizer.zero_grad()
    F.mse_loss(net(torch.randn(8, 4)), torch.zeros(8, 1)).backward()
    optimizer.step()


@pytest.mark.parametrize("is_score", [False, True])
@pytest.mark.parametrize("resets", [False, True])
def test_counter_of_an_object(resets, is_score):
    torch.manual_seed(0)
    net = make_mlp(4, 8, 1)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    stopping = EarlyStopping(3, resets)
    with yisheng.doctor(net, optimizer) as dr:
        for value in LOSSES:
            take_step(net, optimizer)
            dr.validation(**({"score": 1 - value} if is_score else {"loss": value}))
            if stopping.is_over(-(1 - value) if is_score else value):
                break
    assert ("stopped-too-soon" in list_alarms(dr)) == (not resets)
    if not resets:
        assert "stopping.wait" in dr.findings[0].remedy


@pytest.mark.parametrize("stops_by", ["the loss, without a reset", "the loss", "another score", "five epochs"])
def test_counter_in_a_variable(stops_by):
    torch.manual_seed(0)
    net = make_mlp(4, 8, 1)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    patience, bad_epochs, best_loss = 3, 0, math.inf
    with yisheng.doctor(net, optimizer) as dr:
        for epoch, loss in enumerate(LOSSES):
            take_step(net, optimizer)
            dr.validation(loss=loss)
            value = {"another score": -min(epoch, 4.0)}.get(stops_by, loss)
            if value < best_loss:
                best_loss, bad_epochs = value, bad_epochs if "without" in stops_by else 0
            else:
                bad_epochs += 1
            if bad_epochs >= patience or (stops_by == "five epochs" and epoch == 4):
                break
    assert ("stopped-too-soon" in list_alarms(dr)) == (stops_by == "the loss, without a reset")
