"""A defect in a check of the training stops neither the other checks nor the user's program."""

import pytest
import torch
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.training_checks import inputs, padded_targets

from .small_trainings import make_classes, make_mlp

X, Y = make_classes(rows=200, columns=8, classes=2)


def fail(*_):
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("check", "module", "function"),
    [("inputs", inputs, "_first_nonfinite_step"), ("padded-targets", padded_targets, "find_padding_tokens")],
    ids=["while it runs", "before it runs"],
)
def test_a_check_that_fails_is_named_among_those_that_did_not_run(check, module, function, monkeypatch):
    monkeypatch.setattr(module, function, fail)
    torch.manual_seed(0)
    net = make_mlp(8, 16, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with yisheng.doctor(net, optimizer) as dr:
        for index in torch.arange(len(X)).split(20):
            F.cross_entropy(net(X[index]), Y[index]).backward()  # without zero_grad
            optimizer.step()
    assert dr.findings[0].check == "carried-gradients"
    assert dr.diagnose().unchecked[check] == "it has a defect: ZeroDivisionError: division by zero"
