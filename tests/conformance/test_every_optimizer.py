"""Properties that every registered optimizer has."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.spec import Spec, Task
from yisheng.training.update import needs_closure

ENTRIES = [entry for entry in registry.entries("optim") if entry.meta.get("updates", True)]
all_optimizers = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def make_task(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Any]:
    """Return the model of a small regression, and a function that computes the gradient of its loss."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)
    x, y = torch.randn(40, 5, dtype=dtype), torch.randn(40, 1, dtype=dtype)

    def backward() -> float:
        model.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        return loss.item()

    return model, backward


def make_step(optimizer: torch.optim.Optimizer, backward: Callable[[], float]) -> float:
    """Make a step as a training does; return the loss before it."""
    if needs_closure(optimizer):
        return float(optimizer.step(backward))
    loss = backward()
    optimizer.step()
    return loss


@all_optimizers
def test_it_has_the_options_that_every_run_may_set(entry: Entry) -> None:
    assert set(entry.meta) <= {"default_for", "line_search"}
    assert {"lr", "weight_decay"} <= set(entry.options)
    optimizer = entry.build([{"params": [torch.zeros(2, requires_grad=True)]}], lr=0.25, weight_decay=0.125)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [(0.25, 0.125)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (13,)], ids=str)
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_every_kind_of_data_has_one_default(shape: tuple[int, ...], task: Task) -> None:
    spec = Spec(task, shape, classes=() if task == "regression" else ("a", "b"))
    assert registry.default("optim", spec) in ENTRIES


@all_optimizers
@dtypes
def test_the_loss_falls(entry: Entry, dtype: torch.dtype) -> None:
    model, backward = make_task(dtype)
    optimizer = entry.build([{"params": list(model.parameters())}])
    losses = [make_step(optimizer, backward) for _ in range(150)]
    assert losses[-1] < 0.9 * losses[0]


@all_optimizers
def test_a_group_keeps_its_weight_decay(entry: Entry) -> None:
    decayed, constant = (torch.ones(3, requires_grad=True) for _ in range(2))
    optimizer = entry.build([{"params": [decayed]}, {"params": [constant], "weight_decay": 0.0}], weight_decay=0.1)

    def backward() -> float:
        decayed.grad, constant.grad = torch.zeros(3), torch.zeros(3)
        return 0.0

    for _ in range(3):
        make_step(optimizer, backward)
    assert (decayed < 1).all()
    assert torch.equal(constant.detach(), torch.ones(3))


@all_optimizers
@dtypes
def test_a_loaded_state_continues_to_the_same_weights(entry: Entry, dtype: torch.dtype) -> None:
    model, backward = make_task(dtype)
    optimizer = entry.build([{"params": list(model.parameters())}])
    for _ in range(3):
        make_step(optimizer, backward)
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    for _ in range(5):
        make_step(optimizer, backward)
    copied_model, backward = make_task(dtype)
    copied_model.load_state_dict(weights)
    copied_optimizer = entry.build([{"params": list(copied_model.parameters())}])
    copied_optimizer.load_state_dict(state)
    for _ in range(5):
        make_step(copied_optimizer, backward)
    for expected, copied in zip(model.parameters(), copied_model.parameters(), strict=True):
        assert torch.equal(expected, copied)


@all_optimizers
def test_parameters_without_gradient_do_not_change(entry: Entry) -> None:
    parameter, frozen = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = entry.build([{"params": [parameter, frozen]}], weight_decay=0.1)

    def backward() -> float:
        parameter.grad = torch.ones(2)
        return float(parameter.detach().sum())

    make_step(optimizer, backward)
    assert (parameter < 1).all()
    assert torch.equal(frozen.detach(), torch.ones(2))


@all_optimizers
def test_a_learning_rate_near_zero_changes_almost_nothing(entry: Entry) -> None:
    """The schedule sets the learning rate of a group before each step."""
    if entry.meta.get("line_search"):
        pytest.skip("a line search chooses its own steps")
    model, backward = make_task()
    optimizer = entry.build([{"params": list(model.parameters())}])
    for group in optimizer.param_groups:
        group["lr"] = 1e-12
    initial = copy.deepcopy(model.state_dict())
    make_step(optimizer, backward)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, initial[name], rtol=0, atol=1e-10)
