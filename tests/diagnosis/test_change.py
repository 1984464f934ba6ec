"""A finding's change is the remedy as settings that a config takes; in anyone's own loop there is none."""

import functools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.core import registry
from yisheng.core.settings import merge_settings
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.ranking import diagnose
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.records import NonFiniteLoss
from yisheng.diagnosis.run_diagnosis import build_findings
from yisheng.diagnosis.training_checks import non_finite_loss

STEPS = 120
RELATIVE = {"lr", "weight_decay"}


def net(*widths, act=nn.ReLU):
    layers = []
    for before, after in zip(widths, widths[1:], strict=False):  # noqa: RUF007
        layers += [nn.Linear(before, after), act()]
    return nn.Sequential(*layers[:-1])


def classes(rows=480, columns=8, kinds=3):
    draw = torch.Generator().manual_seed(5)
    y = torch.arange(rows) % kinds
    centers = 2.5 * torch.randn(kinds, columns, generator=draw)
    return centers[y] + torch.randn(rows, columns, generator=draw), y


def watched(model, lr, x, y, loss=F.cross_entropy, **more):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, **more)
    with Recorder(model, optimizer) as watch:
        for _ in range(STEPS):
            rows = torch.randint(0, len(x), (32,))
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return watch


def every(model, fill, least=2):
    for p in model.parameters():
        if p.ndim >= least:
            fill(p)
    return model


def constant():
    return watched(every(net(8, 16, 3), lambda p: nn.init.constant_(p, 0.1), least=1), 0.1, *classes())


def huge():
    return watched(every(net(8, 32, 32, 32, 3), lambda p: nn.init.normal_(p, std=3)), 1e-4, *classes())


def faded():
    return watched(every(net(8, 32, 32, 32, 3), lambda p: nn.init.normal_(p, std=1e-4)), 0.01, *classes())


def frozen():
    model = net(8, 64, 3)
    model[0].requires_grad_(False)
    return watched(model, 0.1, *classes())


def stuck():
    return watched(every(net(8, 32, 3, act=nn.Tanh), lambda p: nn.init.normal_(p, std=30)), 1e-6, *classes())


def unscaled():
    x, y = classes()
    return watched(net(8, 16, 3), 1e-9, 1000 * x, y)


def far():
    x, y = classes()
    return watched(net(8, 16, 1), 1e-9, x, 1000.0 + 300.0 * y[:, None].float(), F.mse_loss)


FAULTS = {
    "high-learning-rate": (lambda: watched(net(8, 16, 3), 300.0, *classes()), {"lr": "x 0.1"}),
    "low-learning-rate": (lambda: watched(net(8, 16, 3), 1e-6, *classes()), {"lr": "x 10"}),
    "symmetric-weights": (constant, {"init": "xavier-uniform"}),
    "exploding-gradients": (huge, {"init": "kaiming-normal"}),
    "vanishing-gradients": (
        faded,
        {"activation": "relu", "batch_norm": True, "style": "modern", "init": "kaiming-normal"},
    ),
    "frozen-parameters": (frozen, {"finetune": "all"}),
    "saturated-activation": (stuck, {"init": "xavier-uniform", "scale": "standard"}),
    "strong-decay": (lambda: watched(net(8, 16, 3), 0.1, *classes(), weight_decay=5.0), {"weight_decay": "x 0.01"}),
    "inputs": (unscaled, {"scale": "standard"}),
    "target-scale": (far, {"target_scale": "standard"}),
}


@functools.cache
def seen(check):
    torch.manual_seed(0)
    return FAULTS[check][0]()


def said(check, *, config):
    entry = registry.find("diagnosis.training_checks", check)
    return list(entry.build(Case.from_recorder(seen(check), from_config=config)))


@pytest.mark.parametrize("check", FAULTS)
def test_the_remedy_is_a_setting(check):
    (finding,) = said(check, config=True)
    assert finding.change == FAULTS[check][1]


@pytest.mark.parametrize("check", FAULTS)
def test_nobody_elses_loop_is_told_settings(check):
    (finding,) = said(check, config=False)
    assert finding.change == {}


@pytest.mark.parametrize("check", FAULTS)
def test_a_config_takes_the_settings(check):
    model = "lenet" if "style" in FAULTS[check][1] else "mlp"
    begun = [("model", model, "file"), ("optimizer", "sgd", "file"), ("weights", "w.pth", "file")]
    taken = 0
    for key, value in FAULTS[check][1].items():
        if key in RELATIVE:
            sign, _, factor = value.partition(" ")
            assert sign == "x"
            assert math.isfinite(float(factor))
            value = 0.1 * float(factor)
        if key in ("activation", "batch_norm"):
            merge_settings([("model", "mlp", "file"), (key, value, "command line")])
        else:
            merge_settings([*begun, (key, value, "command line")])
        taken += 1
    assert taken


def test_the_page_of_a_run_keeps_it():
    case = Case.from_recorder(seen("symmetric-weights"), from_config=True)
    found = build_findings(diagnose(case), case.records, steps=case.steps)
    assert found.findings[0].check == "symmetric-weights"
    assert found.to_json()["findings"][0]["change"] == {"init": "xavier-uniform"}


@pytest.mark.parametrize(
    ("inputs", "targets", "change"), [(True, True, {"lr": "x 0.1"}), (False, True, {}), (True, False, {})]
)
def test_no_rate_mends_missing_values(inputs, targets, change):
    model = net(8, 3)
    broken = NonFiniteLoss(3, inputs, targets, True)
    case = Case(
        model, torch.optim.SGD(model.parameters(), 0.1), [], [1.0, 2.0, math.nan], 2, from_config=True, nonfinite_loss=broken
    )
    (finding,) = non_finite_loss.non_finite_loss(case)
    assert finding.change == change
