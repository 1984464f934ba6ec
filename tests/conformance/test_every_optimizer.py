"""What every registered optimiser must keep."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from yisheng.core import registry
from yisheng.core.types import Spec, Task

ENTRIES = list(registry.entries("optim"))
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def task(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Any]:
    """A small regression and the gradient of its loss at the present weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)
    x, y = torch.randn(40, 5, dtype=dtype), torch.randn(40, 1, dtype=dtype)

    def backward() -> float:
        model.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        return loss.item()

    return model, backward


@each
def test_it_has_what_every_run_may_set(entry: registry.Entry) -> None:
    assert set(entry.meta) <= {"default_for"}
    assert {"lr", "weight_decay"} <= set(entry.options)
    optimizer = entry.build([{"params": [torch.zeros(2, requires_grad=True)]}], lr=0.25, weight_decay=0.125)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [(0.25, 0.125)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (13,)], ids=str)
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_there_is_one_default_for_every_kind_of_data(shape: tuple[int, ...], task: Task) -> None:
    spec = Spec(task, shape, classes=() if task == "regression" else ("a", "b"))
    assert registry.default("optim", spec) in ENTRIES


@each
@dtypes
def test_the_loss_falls(entry: registry.Entry, dtype: torch.dtype) -> None:
    model, backward = task(dtype)
    optimizer = entry.build([{"params": list(model.parameters())}])
    losses = []
    for _ in range(150):
        losses.append(backward())
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


@each
def test_a_group_keeps_its_own_decay(entry: registry.Entry) -> None:
    decayed, spared = (torch.ones(3, requires_grad=True) for _ in range(2))
    optimizer = entry.build([{"params": [decayed]}, {"params": [spared], "weight_decay": 0.0}], weight_decay=0.1)
    for _ in range(3):
        decayed.grad, spared.grad = torch.zeros(3), torch.zeros(3)
        optimizer.step()
    assert (decayed < 1).all()
    assert torch.equal(spared.detach(), torch.ones(3))


@each
@dtypes
def test_saved_and_loaded_it_goes_on_to_the_very_same_weights(entry: registry.Entry, dtype: torch.dtype) -> None:
    model, backward = task(dtype)
    optimizer = entry.build([{"params": list(model.parameters())}])
    for _ in range(3):
        backward()
        optimizer.step()
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    for _ in range(5):
        backward()
        optimizer.step()
    other, backward = task(dtype)
    other.load_state_dict(weights)
    again = entry.build([{"params": list(other.parameters())}])
    again.load_state_dict(state)
    for _ in range(5):
        backward()
        again.step()
    for expected, found in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(expected, found)


@each
def test_parameters_without_gradient_stay(entry: registry.Entry) -> None:
    parameter, frozen = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = entry.build([{"params": [parameter, frozen]}], weight_decay=0.1)
    parameter.grad = torch.ones(2)
    optimizer.step()
    assert (parameter < 1).all()
    assert torch.equal(frozen.detach(), torch.ones(2))


@each
def test_a_rate_of_nearly_zero_hardly_moves(entry: registry.Entry) -> None:
    """The schedule sets the rate of a group before each step; every step must obey it."""
    model, backward = task()
    optimizer = entry.build([{"params": list(model.parameters())}])
    for group in optimizer.param_groups:
        group["lr"] = 1e-12
    before = copy.deepcopy(model.state_dict())
    backward()
    optimizer.step()
    for name, after in model.state_dict().items():
        torch.testing.assert_close(after, before[name], rtol=0, atol=1e-10)
