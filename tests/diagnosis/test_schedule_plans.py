"""Schedules of the learning rate that are planned for other units than those in which they are called."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

import yisheng

from .small_trainings import list_alarms

EPOCHS, BATCHES = 6, 20
UPDATES = EPOCHS * BATCHES


def warm_up_and_fall(call, length=UPDATES, warm_up=10):
    return min(1.0, (call + 1) / warm_up) * max(0.0, (length - call) / length)


SCHEDULES = {
    "one cycle": lambda sgd, length: lr_scheduler.OneCycleLR(sgd, 0.1, total_steps=length + 1),
    "cosine": lr_scheduler.CosineAnnealingLR,
    "polynomial": lambda sgd, length: lr_scheduler.PolynomialLR(sgd, length, power=2.0),
    "line": lambda sgd, length: lr_scheduler.LambdaLR(sgd, lambda call: warm_up_and_fall(call, length)),
    "half cosine": lambda sgd, length: lr_scheduler.LambdaLR(
        sgd, lambda call: 0.5 * (1 + math.cos(math.pi * min(1.0, call / length)))
    ),
}


class Trainer:
    """A loop that holds its schedule as an attribute."""

    def __init__(self, make, length):
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=0.1, momentum=0.9)
        self.schedule = make(self.sgd, length)

    def fit(self, unit, accumulated=1, epochs=EPOCHS):
        x = torch.randn(320, 6)
        y = (x[:, 0] > 0).long()
        with yisheng.doctor(self.net, self.sgd) as dr:
            for _ in range(epochs):
                for batch, rows in enumerate(torch.randperm(320).split(320 // BATCHES), 1):
                    F.cross_entropy(self.net(x[rows]), y[rows]).backward()
                    if batch % accumulated == 0:
                        self.sgd.step()
                        self.sgd.zero_grad()
                        if unit == "update":
                            self.schedule.step()
                if unit == "epoch":
                    self.schedule.step()
        return dr


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("unit", ["epoch", "never", "update"])
def test_schedule_that_is_planned_for_updates(name, unit):
    dr = Trainer(SCHEDULES[name], UPDATES).fit(unit)
    assert list_alarms(dr) == ([] if unit == "update" else ["schedule-period"])
    if unit == "epoch":
        assert "was called 6 times in 120 updates" in dr.findings[0].cause


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("epochs", [EPOCHS, 100])
def test_schedule_that_is_planned_for_epochs(name, epochs):
    """Of 100 epochs, six were made: a loop that was stopped early is planned for more."""
    assert list_alarms(Trainer(SCHEDULES[name], epochs).fit("epoch")) == []


@pytest.mark.parametrize(("length", "checks"), [(UPDATES, ["schedule-period"]), (UPDATES // 2, [])])
def test_schedule_that_is_planned_for_batches_and_called_in_each_update_of_two(length, checks):
    dr = Trainer(SCHEDULES["cosine"], length).fit("update", accumulated=2)
    assert list_alarms(dr) == checks
    if checks:
        assert dr.findings[0].remedy == "plan the schedule for the 60 updates, not for the batches"


def test_parts_of_a_combined_schedule_are_called_by_it():
    def make(sgd, length):
        parts = [lr_scheduler.LinearLR(sgd, 0.1, total_iters=5), lr_scheduler.CosineAnnealingLR(sgd, length)]
        make.parts = parts
        return lr_scheduler.SequentialLR(sgd, parts, milestones=[5])

    trainer = Trainer(make, UPDATES)
    trainer.parts = make.parts[1]
    assert list_alarms(trainer.fit("update")) == []
