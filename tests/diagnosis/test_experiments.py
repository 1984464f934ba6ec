"""Experiments leave everything as it was, confirm correct findings and drop wrong ones."""

import copy
import math
import random
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name
from torch.utils.data import DataLoader, TensorDataset

import yisheng
from yisheng.core.errors import UsageError
from yisheng.core.events import Batch
from yisheng.core.findings import Finding
from yisheng.diagnosis.examination import build_setup_from_loop
from yisheng.diagnosis.experiments import (
    ONE_BATCH,
    ONE_BATCH_START,
    STANDARDIZED_INPUTS,
    UNCHANGED,
    ExperimentResults,
    run_experiments,
    standardize_inputs,
    verify_findings,
)
from yisheng.diagnosis.ranking import Diagnosis
from yisheng.diagnosis.training_state import preserve_training_state


def make_network(inputs=6, outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, outputs))


def make_rows(n=256, scale=1.0):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(1))
    return x * scale, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def train(net, optimizer, steps=3):
    x, y = make_rows(64)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()


def freeze(value):
    """Return a copy that can be compared to the bit."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().numpy().tobytes()
    if isinstance(value, Mapping):
        return {str(key): freeze(item) for key, item in value.items()}
    return [freeze(item) for item in value] if isinstance(value, list | tuple) else copy.deepcopy(value)


def capture_state(net, optimizer):
    numpy_state = [part.tobytes() if isinstance(part, np.ndarray) else part for part in np.random.get_state()]
    return (
        freeze(net.state_dict()),
        freeze(optimizer.state_dict()),
        [None if p.grad is None else freeze(p.grad) for p in net.parameters()],
        [p.requires_grad for p in net.parameters()],
        [module.training for module in net.modules()],
        freeze(torch.get_rng_state()),
        random.getstate(),
        freeze(numpy_state),
    )


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD], ids=lambda m: m.__name__)
def test_training_state_is_restored_to_the_bit(make):
    net = make_network()
    optimizer = make(net.parameters(), lr=0.05)
    train(net, optimizer)
    net[0].weight.requires_grad_(False)
    net[3].eval()
    state = capture_state(net, optimizer)
    with preserve_training_state(net, optimizer):
        net.train()
        net[0].weight.requires_grad_(True)
        optimizer.param_groups[0].update(lr=9.0, more=1)
        train(net, optimizer)
        random.random(), np.random.rand()
    assert capture_state(net, optimizer) == state


def test_diagnosis_does_not_change_the_training_after_it():
    states = []
    for diagnosed in (False, True):
        net = make_network()
        optimizer = torch.optim.Adam(net.parameters())
        train(net, optimizer)
        if diagnosed:
            yisheng.diagnose(net, make_rows(), nn.functional.cross_entropy, optimizer, steps=20)
        train(net, optimizer)
        states.append(capture_state(net, optimizer))
    assert states[0] == states[1]


def test_generator_of_a_loader_is_restored():
    net = make_network()
    loader = DataLoader(TensorDataset(*make_rows()), 32, shuffle=True, generator=torch.Generator().manual_seed(3))
    state = loader.generator.get_state()
    optimizer = torch.optim.Adam(net.parameters())
    diagnosis = yisheng.diagnose(net, loader, nn.functional.cross_entropy, optimizer, steps=30)
    assert torch.equal(loader.generator.get_state(), state)
    assert diagnosis.findings == ()


@pytest.mark.parametrize(
    ("lr", "check", "change"),
    [(1e-6, "low-learning-rate", "lr x 10000"), (1e-2, None, None), (300.0, "high-learning-rate", "lr x 0.001")],
)
def test_wrong_rates_are_found_and_their_remedy_is_measured(lr, check, change):
    torch.manual_seed(0)
    x = torch.randn(512, 4)
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    diagnosis = yisheng.diagnose(net, (x, x[:, :1] + x[:, 1:2]), nn.functional.mse_loss, optimizer)
    assert [finding.check for finding in diagnosis.findings] == ([check] if check else [])
    for finding in diagnosis.findings:
        tried = finding.evidence["tried"]
        assert tried["change"] == change
        assert tried["loss with"] < (math.inf if tried["loss without"] is None else tried["loss without"])


@pytest.mark.parametrize(("scale", "helps"), [(200.0, True), (1.0, False)])
def test_standardized_inputs_help_only_if_inputs_are_not_scaled(scale, helps):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    pairs = zip(*(tensor.split(32) for tensor in make_rows(320, scale)), strict=True)
    batches = [Batch(x, y, torch.arange(len(y))) for x, y in pairs]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    setup = build_setup_from_loop(net, optimizer, nn.functional.cross_entropy, batches[2:], batches[:2])
    gain = run_experiments(setup).best_change([STANDARDIZED_INPUTS])[1]
    assert (gain > 0.2) == helps


def make_finding(check, severity="error", **evidence):
    return Finding(check, severity, evidence, f"{check} is wrong", "fix it")


def make_results(losses=()):
    return ExperimentResults({UNCHANGED: 1.0, ONE_BATCH_START: 1.0, ONE_BATCH: 0.1, **dict(losses)})


def test_contradicted_finding_is_dropped_and_its_symptoms_become_findings():
    symptoms = {"high-learning-rate": (make_finding("dead-relu"),)}
    diagnosis = Diagnosis((make_finding("high-learning-rate"),), symptoms, {"mode": "why"})
    verified = verify_findings(diagnosis, make_results({"lr x 0.1": 1.1}))
    assert [finding.check for finding in verified.findings] == ["dead-relu"]
    assert (verified.symptoms, verified.unchecked) == ({}, {"mode": "why"})


def test_confirmed_finding_gets_the_measured_losses():
    symptoms = {"high-learning-rate": (make_finding("dead-relu"),)}
    diagnosis = Diagnosis((make_finding("high-learning-rate"),), symptoms, {"mode": "why"})
    verified = verify_findings(diagnosis, make_results({"lr x 0.1": 0.4}))
    assert verified.findings[0].evidence["tried"] == {"change": "lr x 0.1", "loss without": 1.0, "loss with": 0.4}
    assert verified.symptoms == symptoms


@pytest.mark.parametrize(
    ("finding", "remains"),
    [
        (make_finding("inputs", "warning"), False),
        (make_finding("inputs", "warning", std=73.0), True),  # bytes: 60 updates at the present rate acquit nothing
        (make_finding("low-learning-rate", "warning", **{"relative update": 1e-6}), False),
        (make_finding("low-learning-rate", "warning", step=10), True),  # decayed too early: experiments use one rate
        (make_finding("inputs", "error"), True),  # missing values: no experiment concerns these
        (make_finding("uncovered-parameters"), True),
        (make_finding("dead-relu"), True),
    ],
    ids=lambda value: getattr(value, "check", None),
)
def test_only_findings_about_rates_and_scales_can_be_dropped(finding, remains):
    results = make_results({STANDARDIZED_INPUTS: 1.2, "lr x 0.1": 1.3, "lr x 10": 1.2})
    assert bool(verify_findings(Diagnosis((finding,), {}, {}), results).findings) == remains


def test_without_experiments_the_diagnosis_is_unchanged():
    diagnosis = Diagnosis((make_finding("low-learning-rate"),), {}, {})
    assert verify_findings(diagnosis, ExperimentResults()) is diagnosis


def test_network_that_cannot_fit_one_batch_is_a_finding():
    verified = verify_findings(Diagnosis((), {}, {}), make_results({ONE_BATCH: 0.99}))
    assert [finding.check for finding in verified.findings] == ["one-batch"]
    assert verify_findings(Diagnosis((), {}, {}), make_results()).findings == ()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model": 3}, "requires a torch.nn.Module"),
        ({"loss": None}, "requires a torch.nn.Module"),
        ({"optimizer": 0.1}, "requires a torch.nn.Module"),
        ({"data": 7}, "data must be"),
        ({"data": []}, "data is empty"),
        ({"data": [torch.ones(3)]}, "a pair of tensors"),
        ({"data": (torch.ones(3, 6), torch.ones(2))}, "same number of rows"),
        ({"data": (torch.ones(30, 5), torch.zeros(30, dtype=torch.long))}, "do not fit"),
        ({"steps": 0}, "steps must be"),
        ({"steps": True}, "steps must be"),
    ],
)
def test_wrong_arguments_are_refused(change, problem):
    net = make_network()
    arguments = {"model": net, "data": make_rows(64), "loss": nn.functional.cross_entropy, "steps": 5}
    arguments["optimizer"] = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(UsageError, match=problem):
        yisheng.diagnose(**{**arguments, **change})


def test_loss_that_refuses_non_finite_values_is_diagnosed():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    x, y = make_rows(scale=1e20)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e9)
    assert yisheng.diagnose(net, (x, (y > 0).float()[:, None]), nn.BCELoss(), optimizer).findings


@pytest.mark.parametrize("n", [3, 5, 17, 40])
def test_few_rows_are_enough(n):
    net = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    yisheng.diagnose(net, make_rows(n), nn.functional.cross_entropy, optimizer, steps=12)


def test_batches_of_several_lengths_are_standardized_by_channel():
    generator = torch.Generator().manual_seed(0)
    scale, center = torch.tensor([1.0, 50.0])[:, None], torch.tensor([0.0, -7.0])[:, None]
    lengths = [4, 9, 4, 6, 12, 5]
    batches = [scale * torch.randn(16, 2, length, generator=generator) + center for length in lengths]
    net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2))
    setup = build_setup_from_loop(
        net,
        torch.optim.SGD(net.parameters(), 0.1),
        F.cross_entropy,
        [Batch(x, torch.arange(16) % 2, torch.arange(16), None) for x in batches[1:]],
        [Batch(batches[0], torch.arange(16) % 2, torch.arange(16), None)],
    )
    values = torch.cat([batch.x.movedim(1, -1).flatten(0, 1) for batch in standardize_inputs(setup).batches])
    torch.testing.assert_close(values.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(0, correction=0), torch.ones(2))
    assert STANDARDIZED_INPUTS in run_experiments(setup, steps=1).losses
