"""The change of a finding is its remedy as settings that a config accepts; outside of a run there is none."""

import functools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.diagnosis.small_trainings import make_classes, make_mlp
from yisheng.core import registry
from yisheng.core.settings import merge_settings
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.ranking import diagnose
from yisheng.diagnosis.recorder.recorder import Recorder
from yisheng.diagnosis.recorder.records import NonFiniteLoss
from yisheng.diagnosis.run_diagnosis import build_findings
from yisheng.diagnosis.training_checks import non_finite_loss

STEPS = 120
RELATIVE_SETTINGS = {"lr", "weight_decay"}
BASE = [("model", "mlp", "file"), ("optimizer", "sgd", "file"), ("weights", "w.pth", "file")]


def record_training(model, lr, x, y, loss=F.cross_entropy, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, **options)
    with Recorder(model, optimizer) as recorder:
        for _ in range(STEPS):
            rows = torch.randint(0, len(x), (32,))
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return recorder


def initialize(model, fill, min_axes=2):
    for p in model.parameters():
        if p.ndim >= min_axes:
            fill(p)
    return model


def train_constant_weights():
    model = initialize(make_mlp(8, 16, 3), lambda p: nn.init.constant_(p, 0.1), min_axes=1)
    return record_training(model, 0.1, *make_classes())


def train_huge_weights():
    model = initialize(make_mlp(8, 32, 32, 32, 3), lambda p: nn.init.normal_(p, std=3))
    return record_training(model, 1e-4, *make_classes())


def train_tiny_weights():
    model = initialize(make_mlp(8, 32, 32, 32, 3), lambda p: nn.init.normal_(p, std=1e-4))
    return record_training(model, 0.01, *make_classes())


def train_frozen_layer():
    model = make_mlp(8, 64, 3)
    model[0].requires_grad_(False)
    return record_training(model, 0.1, *make_classes())


def train_saturated_units():
    model = initialize(make_mlp(8, 32, 3, activation=nn.Tanh), lambda p: nn.init.normal_(p, std=30))
    return record_training(model, 1e-6, *make_classes())


def train_unscaled_inputs():
    x, y = make_classes()
    return record_training(make_mlp(8, 16, 3), 1e-9, 1000 * x, y)


def train_unscaled_targets():
    x, y = make_classes()
    return record_training(make_mlp(8, 16, 1), 1e-9, x, 1000.0 + 300.0 * y[:, None].float(), F.mse_loss)


def train_with(lr, **options):
    return lambda: record_training(make_mlp(8, 16, 3), lr, *make_classes(), **options)


FAULTS = {
    "high-learning-rate": (train_with(300.0), {"lr": "x 0.1"}),
    "low-learning-rate": (train_with(1e-6), {"lr": "x 10"}),
    "symmetric-weights": (train_constant_weights, {"init": "xavier-uniform"}),
    "exploding-gradients": (train_huge_weights, {"init": "kaiming-normal"}),
    "vanishing-gradients": (
        train_tiny_weights,
        {"activation": "relu", "batch_norm": True, "style": "modern", "init": "kaiming-normal"},
    ),
    "frozen-parameters": (train_frozen_layer, {"finetune": "all"}),
    "saturated-activation": (train_saturated_units, {"init": "xavier-uniform", "scale": "standard"}),
    "strong-decay": (train_with(0.1, weight_decay=5.0), {"weight_decay": "x 0.01"}),
    "inputs": (train_unscaled_inputs, {"scale": "standard"}),
    "target-scale": (train_unscaled_targets, {"target_scale": "standard"}),
}


@functools.cache
def train_fault(check):
    torch.manual_seed(0)
    return FAULTS[check][0]()


def find(check, *, from_config):
    case = Case.from_recorder(train_fault(check), from_config=from_config)
    return list(registry.find("diagnosis.training_checks", check).build(case))


@pytest.mark.parametrize("check", FAULTS)
def test_finding_of_a_run_has_a_change(check):
    (finding,) = find(check, from_config=True)
    assert finding.change == FAULTS[check][1]


@pytest.mark.parametrize("check", FAULTS)
def test_finding_of_a_plain_loop_has_no_change(check):
    (finding,) = find(check, from_config=False)
    assert finding.change == {}


@pytest.mark.parametrize("check", FAULTS)
def test_config_accepts_the_change(check):
    change = FAULTS[check][1]
    assert change
    model = "lenet" if "style" in change else "mlp"
    for key, value in change.items():
        if key in RELATIVE_SETTINGS:
            sign, _, factor = value.partition(" ")
            assert sign == "x"
            assert math.isfinite(float(factor))
            value = 0.1 * float(factor)
        if key in ("activation", "batch_norm"):
            merge_settings([("model", "mlp", "file"), (key, value, "command line")])
        else:
            merge_settings([("model", model, "file"), *BASE[1:], (key, value, "command line")])


def test_findings_of_a_run_contain_the_change():
    case = Case.from_recorder(train_fault("symmetric-weights"), from_config=True)
    findings = build_findings(diagnose(case), case.records, steps=case.steps)
    assert findings.findings[0].check == "symmetric-weights"
    assert findings.to_json()["findings"][0]["change"] == {"init": "xavier-uniform"}


@pytest.mark.parametrize(
    ("inputs", "targets", "change"), [(True, True, {"lr": "x 0.1"}), (False, True, {}), (True, False, {})]
)
def test_learning_rate_does_not_fix_missing_values(inputs, targets, change):
    model = make_mlp(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    nonfinite_loss = NonFiniteLoss(3, inputs, targets, True)
    case = Case(model, optimizer, [], [1.0, 2.0, math.nan], 2, from_config=True, nonfinite_loss=nonfinite_loss)
    (finding,) = non_finite_loss.non_finite_loss(case)
    assert finding.change == change
