"""Experiments leave everything as it was, confirm what is so, and take back what is not."""

import copy
import math
import random
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import yisheng
from yisheng.core.errors import UsageError
from yisheng.core.types import Finding
from yisheng.diagnosis.examination import build_setup_from_loop
from yisheng.diagnosis.experiments import (
    ONE_BATCH,
    ONE_BATCH_START,
    STANDARDIZED_INPUTS,
    UNCHANGED,
    ExperimentResults,
    run_experiments,
    verify_findings,
)
from yisheng.diagnosis.ranking import Diagnosis
from yisheng.diagnosis.training_state import preserve_training_state


def network(inputs=6, outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, outputs))


def rows(n=256, scale=1.0):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(1))
    return x * scale, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def train(net, optimizer, steps=3):
    x, y = rows(64)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()


def frozen(value):
    """A copy that can be compared to the bit."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().numpy().tobytes()
    if isinstance(value, Mapping):
        return {str(key): frozen(one) for key, one in value.items()}
    return [frozen(one) for one in value] if isinstance(value, list | tuple) else copy.deepcopy(value)


def everything(net, optimizer):
    return (
        frozen(net.state_dict()),
        frozen(optimizer.state_dict()),
        [None if p.grad is None else frozen(p.grad) for p in net.parameters()],
        [p.requires_grad for p in net.parameters()],
        [part.training for part in net.modules()],
        frozen(torch.get_rng_state()),
        random.getstate(),
        frozen([part if not isinstance(part, np.ndarray) else part.tobytes() for part in np.random.get_state()]),
    )


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD], ids=lambda m: m.__name__)
def test_all_is_as_it_was_to_the_bit(make):
    net = network()
    optimizer = make(net.parameters(), lr=0.05)
    train(net, optimizer)
    net[0].weight.requires_grad_(False)
    net[3].eval()
    before = everything(net, optimizer)
    with preserve_training_state(net, optimizer):
        net.train()
        net[0].weight.requires_grad_(True)
        optimizer.param_groups[0].update(lr=9.0, more=1)
        train(net, optimizer)
        random.random(), np.random.rand()
    assert everything(net, optimizer) == before


def test_what_is_trained_afterwards_is_the_same_as_without():
    ends = []
    for probed in (False, True):
        net = network()
        optimizer = torch.optim.Adam(net.parameters())
        train(net, optimizer)
        if probed:
            yisheng.diagnose(net, rows(), nn.functional.cross_entropy, optimizer, steps=20)
        train(net, optimizer)
        ends.append(everything(net, optimizer))
    assert ends[0] == ends[1]


def test_the_generator_of_a_loader_is_left_as_it_was():
    net = network()
    loader = DataLoader(TensorDataset(*rows()), 32, shuffle=True, generator=torch.Generator().manual_seed(3))
    before = loader.generator.get_state()
    found = yisheng.diagnose(net, loader, nn.functional.cross_entropy, torch.optim.Adam(net.parameters()), steps=30)
    assert torch.equal(loader.generator.get_state(), before)
    assert found.findings == ()


@pytest.mark.parametrize(
    ("lr", "check", "change"),
    [(1e-6, "low-learning-rate", "lr x 10000"), (1e-2, None, None), (300.0, "high-learning-rate", "lr x 0.001")],
)
def test_rates_that_are_off_are_found_and_the_remedy_is_measured(lr, check, change):
    torch.manual_seed(0)
    x = torch.randn(512, 4)
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    found = yisheng.diagnose(net, (x, x[:, :1]), nn.functional.mse_loss, optimizer)
    assert [one.check for one in found.findings] == ([check] if check else [])
    for one in found.findings:
        tried = one.evidence["tried"]
        assert tried["change"] == change
        assert tried["loss with"] < (math.inf if tried["loss without"] is None else tried["loss without"])


def test_scaling_helps_where_inputs_are_unscaled_and_only_there():
    for scale, helps in ((200.0, True), (1.0, False)):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
        batches = [yisheng.core.types.Batch(x, y, torch.arange(len(y))) for x, y in _batches(scale)]
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        patient = build_setup_from_loop(net, optimizer, nn.functional.cross_entropy, batches[2:], batches[:2])
        gain = run_experiments(patient).best_change([STANDARDIZED_INPUTS])[1]
        assert (gain > 0.2) == helps


def _batches(scale):
    x, y = rows(320, scale)
    return list(zip(x.split(32), y.split(32), strict=True))


def finding(check, severity="error", **evidence):
    return Finding(check, severity, evidence, f"{check} is wrong", "mend it")


def losses(**more):
    named = {key.replace("_", " "): value for key, value in more.items()}
    return ExperimentResults({UNCHANGED: 1.0, ONE_BATCH_START: 1.0, ONE_BATCH: 0.1, **named})


def test_an_alarm_that_the_experiment_contradicts_is_dropped_and_its_symptoms_stand_for_themselves():
    said = Diagnosis((finding("high-learning-rate"),), {"high-learning-rate": (finding("dead-relu"),)}, {"mode": "why"})
    found = verify_findings(said, ExperimentResults({**losses().losses, "lr x 0.1": 1.1}))
    assert [one.check for one in found.findings] == ["dead-relu"]
    assert (found.symptoms, found.unchecked) == ({}, {"mode": "why"})
    confirmed = verify_findings(said, ExperimentResults({**losses().losses, "lr x 0.1": 0.4}))
    assert confirmed.findings[0].evidence["tried"] == {"change": "lr x 0.1", "loss without": 1.0, "loss with": 0.4}
    assert confirmed.symptoms == said.symptoms


@pytest.mark.parametrize(
    ("one", "kept"),
    [
        (finding("inputs", "warning"), False),
        (finding("low-learning-rate", "warning", **{"relative update": 1e-6}), False),
        (finding("low-learning-rate", "warning", step=10), True),  # it decayed too soon: they are made at one rate
        (finding("inputs", "error"), True),  # missing values: no experiment speaks of these
        (finding("uncovered-parameters"), True),
        (finding("dead-relu"), True),
    ],
    ids=lambda value: getattr(value, "check", None),
)
def test_only_alarms_about_rates_and_scales_can_be_taken_back(one, kept):
    probes = ExperimentResults({**losses().losses, STANDARDIZED_INPUTS: 1.2, "lr x 0.1": 1.3, "lr x 10": 1.2})
    found = verify_findings(Diagnosis((one,), {}, {}), probes)
    assert bool(found.findings) == kept


def test_without_experiments_nothing_changes():
    said = Diagnosis((finding("low-learning-rate"),), {}, {})
    assert verify_findings(said, ExperimentResults()) is said


def test_a_network_that_cannot_fit_one_batch_is_told():
    found = verify_findings(Diagnosis((), {}, {}), ExperimentResults({**losses().losses, ONE_BATCH: 0.99}))
    assert [one.check for one in found.findings] == ["one-batch"]
    assert verify_findings(Diagnosis((), {}, {}), losses()).findings == ()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"model": 3}, "wants a torch.nn.Module"),
        ({"loss": None}, "wants a torch.nn.Module"),
        ({"optimizer": 0.1}, "wants a torch.nn.Module"),
        ({"data": 7}, "data must be"),
        ({"data": []}, "no data"),
        ({"data": [torch.ones(3)]}, "a pair of tensors"),
        ({"data": (torch.ones(3, 6), torch.ones(2))}, "as many"),
        ({"data": (torch.ones(30, 5), torch.zeros(30, dtype=torch.long))}, "do not fit"),
        ({"steps": 0}, "steps must be"),
        ({"steps": True}, "steps must be"),
    ],
)
def test_what_does_not_fit_is_told_at_the_door(change, wrong):
    net = network()
    given = {"model": net, "data": rows(64), "loss": nn.functional.cross_entropy, "steps": 5}
    given["optimizer"] = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(UsageError, match=wrong):
        yisheng.diagnose(**{**given, **change})


def test_a_loss_that_refuses_what_is_not_finite_is_a_diagnosis_and_no_error():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    x, y = rows(scale=1e20)
    found = yisheng.diagnose(
        net, (x, (y > 0).float()[:, None]), nn.BCELoss(), torch.optim.SGD(net.parameters(), lr=1e9)
    )
    assert found.findings


@pytest.mark.parametrize("n", [3, 5, 17, 40])
def test_a_handful_of_rows_is_enough(n):
    x, y = rows(n)
    net = nn.Linear(6, 3)
    yisheng.diagnose(net, (x, y), nn.functional.cross_entropy, torch.optim.SGD(net.parameters(), lr=0.1), steps=12)
