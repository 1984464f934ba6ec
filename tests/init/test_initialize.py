from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from yisheng.init.constant import constant
from yisheng.init.default import default
from yisheng.init.initialize import initialize
from yisheng.init.kaiming import kaiming_normal
from yisheng.init.normal import normal
from yisheng.init.xavier import xavier_normal, xavier_uniform
from yisheng.init.zeros import zeros


def make_model() -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1, bias=False))
    return nn.Sequential(body, nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 4), nn.Linear(4, 2))


def changed_parameters(model: nn.Module) -> set[str]:
    return {
        name
        for (name, a), b in zip(model.named_parameters(), make_model().parameters(), strict=True)
        if not torch.equal(a, b)
    }


LINEAR = {"3.weight", "3.bias", "4.weight", "4.bias"}
CONV = {"0.0.weight", "0.0.bias", "0.3.weight"}


def test_weights_are_filled_biases_are_zero_and_norms_stay():
    model = make_model()
    initialize(model, partial(constant, value=0.5))
    assert changed_parameters(model) == LINEAR | CONV
    for name in LINEAR | CONV:
        parameter = model.get_parameter(name)
        assert torch.equal(parameter, torch.full_like(parameter, 0.0 if name.endswith("bias") else 0.5))
        assert parameter.requires_grad
        assert parameter.is_leaf


@pytest.mark.parametrize("init", [None, default, lambda weight: default(weight)])
def test_the_default_changes_nothing(init):
    model = make_model()
    initialize(model, init)
    assert changed_parameters(model) == set()


def test_linear_layers_and_convolutions_can_differ():
    for options, expected in [
        ({"linear": zeros}, LINEAR),
        ({"conv": zeros}, CONV),
        ({"linear": zeros, "conv": zeros}, LINEAR | CONV),
    ]:
        model = make_model()
        initialize(model, None, **options)
        assert changed_parameters(model) == expected
    model = make_model()
    initialize(model, zeros, linear=default)
    assert changed_parameters(model) == CONV
    model = make_model()
    initialize(model, partial(constant, value=1.0), conv=partial(constant, value=2.0))
    assert (model[3].weight.mean().item(), model[0][0].weight.mean().item()) == (1.0, 2.0)


def test_layers_are_filled_in_order_from_torchs_generator():
    model = make_model()
    torch.manual_seed(5)
    initialize(model, normal)
    torch.manual_seed(5)
    for name in ("0.0.weight", "0.3.weight", "3.weight", "4.weight"):
        expected = torch.empty_like(model.get_parameter(name)).normal_(0, 0.01)
        assert torch.equal(model.get_parameter(name), expected), name


def signal_sizes(fill: Callable[[torch.Tensor], None], activation: nn.Module, input_std: float = 1.0) -> list[float]:
    """Return the mean square after each of 10 layers of 400 units, relative to that of the input."""
    torch.manual_seed(0)
    layers = [nn.Linear(400, 400) for _ in range(10)]
    x = input_std * torch.randn(500, 400)
    input_size = float(x.square().mean())
    sizes = []
    with torch.no_grad():
        for layer in layers:
            initialize(layer, fill)
            x = layer(activation(x))
            sizes.append(float(x.square().mean()) / input_size)
    return sizes


def test_kaiming_keeps_the_signal_through_ten_relus():
    assert all(0.7 < size < 1.4 for size in signal_sizes(kaiming_normal, nn.ReLU()))


@pytest.mark.parametrize("fill", [xavier_normal, xavier_uniform])
def test_xavier_keeps_a_small_signal_through_ten_layers_of_tanh(fill):
    assert all(0.7 < size < 1.4 for size in signal_sizes(fill, nn.Tanh(), input_std=0.1))


@pytest.mark.parametrize(
    ("fill", "activation"), [(normal, nn.Tanh()), (xavier_normal, nn.ReLU()), (default, nn.ReLU())]
)
def test_unsuitable_initializations_lose_the_signal(fill, activation):
    assert signal_sizes(fill, activation)[-1] < 0.01


def test_fan_out_keeps_the_gradients_size():
    torch.manual_seed(0)
    layers = []
    for _ in range(5):  # wide and narrow in turn
        layers += [nn.Linear(800, 100), nn.ReLU(), nn.Linear(100, 800), nn.ReLU()]
    model = nn.Sequential(*layers)
    initialize(model, partial(kaiming_normal, mode="fan-out"))
    x = torch.randn(300, 800, requires_grad=True)
    output = model(x)
    gradient = torch.randn_like(output)
    output.backward(gradient)
    assert 0.4 < float(x.grad.square().mean() / gradient.square().mean()) < 2.5
