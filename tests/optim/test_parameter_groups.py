from __future__ import annotations

import pytest
import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.optim.parameter_groups import make_parameter_groups


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.batch = nn.BatchNorm2d(4)
        self.group = nn.GroupNorm(2, 4)
        self.layer = nn.LayerNorm((4, 5, 5))
        self.rms = nn.RMSNorm((5, 5))
        self.linear = nn.Linear(100, 4)
        self.tied = nn.Linear(100, 4)
        self.tied.weight = self.linear.weight
        self.slope = nn.PReLU(4)
        self.scale = nn.Parameter(torch.ones(()))


def parameter_names(model: nn.Module, group: dict) -> set[str]:
    by_id = {id(p): name for name, p in model.named_parameters()}
    return {by_id[id(p)] for p in group["params"]}


def test_biases_and_norms_do_not_decay():
    model = Net()
    weights, biases = make_parameter_groups(model, decay_bias=False)
    assert parameter_names(model, weights) == {"conv.weight", "linear.weight"}
    assert "weight_decay" not in weights
    assert biases["weight_decay"] == 0.0


def test_every_parameter_is_in_one_group_once():
    model = Net()
    for decay_bias in (False, True):
        parameters = [p for group in make_parameter_groups(model, decay_bias=decay_bias) for p in group["params"]]
        assert len(parameters) == len({id(p) for p in parameters})
        assert {id(p) for p in parameters} == {id(p) for p in model.parameters()}


def test_with_decay_of_biases_there_is_one_group():
    (group,) = make_parameter_groups(Net(), decay_bias=True)
    assert set(group) == {"params"}


def test_a_stack_of_biases_does_not_decay():
    ensemble = nn.Module()
    ensemble.weight = nn.Parameter(torch.zeros(8, 4, 3))
    ensemble.bias = nn.Parameter(torch.zeros(8, 3))
    assert [len(g["params"]) for g in make_parameter_groups(ensemble, decay_bias=False)] == [1, 1]


def test_there_are_no_empty_groups():
    assert len(make_parameter_groups(nn.Linear(2, 2, bias=False), decay_bias=False)) == 1
    assert make_parameter_groups(nn.BatchNorm1d(2), decay_bias=False)[0]["weight_decay"] == 0.0


def test_a_model_without_parameters_is_an_error():
    with pytest.raises(UsageError, match="Flatten has no parameters"):
        make_parameter_groups(nn.Flatten(), decay_bias=False)


@pytest.mark.parametrize("decay_bias", [False, True])
def test_a_new_head_has_groups_after_those_of_the_body(decay_bias):
    model = Net()
    with_head = make_parameter_groups(model, decay_bias=decay_bias, head=model.slope, head_lr=7.0)
    without_head = make_parameter_groups(model, decay_bias=decay_bias)
    assert [g["lr_scale"] for g in with_head] == [1.0] * len(without_head) + [7.0]
    assert parameter_names(model, with_head[-1]) == {"slope.weight"}
    assert ("weight_decay" in with_head[-1]) == (not decay_bias)
    for body, group in zip(with_head, without_head, strict=False):
        assert parameter_names(model, body) == parameter_names(model, group) - {"slope.weight"}
        assert body.get("weight_decay") == group.get("weight_decay")
    assert all("lr_scale" not in g for g in without_head)


def test_the_learning_rate_of_the_head_is_scaled():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    initial = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(make_parameter_groups(model, head=model[1]), lr=0.01)
    for group in optimizer.param_groups:
        group["lr"] *= group["lr_scale"]
    model(torch.randn(4, 3)).square().sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    optimizer.step()
    for p, start, gradient, lr in zip(model.parameters(), initial, gradients, (0.01, 0.01, 0.1, 0.1), strict=True):
        torch.testing.assert_close(p.detach(), start - lr * gradient)
