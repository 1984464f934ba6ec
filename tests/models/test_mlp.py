from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.models.activations import ACTIVATIONS, Activation
from yisheng.models.embedded_mlp import embedded_mlp
from yisheng.models.mlp import mlp

ROWS = Spec("regression", (5,))

EQUATIONS = {
    "relu": lambda x: x * (x > 0),
    "leaky-relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (x.exp() - 1)),
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + (-x).exp()),
    "softplus": lambda x: (1 + x.exp()).log(),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "scaled-sigmoid": lambda x: 4 / (1 + (-x).exp()) - 2,
    "tanh": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    "identity": lambda x: x,
}


def test_every_activation_has_a_name_and_an_equation():
    assert set(get_args(Activation)) == set(ACTIVATIONS) == set(EQUATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_their_equations(name):
    x, reference_x = (torch.linspace(-4, 4, 50, dtype=torch.float64, requires_grad=True) for _ in range(2))
    value, expected = ACTIVATIONS[name]()(x), EQUATIONS[name](reference_x)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    value.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(x.grad, reference_x.grad, rtol=1e-11, atol=1e-12)


def test_scaled_sigmoid_is_the_identity_near_zero():
    x = torch.linspace(-0.1, 0.1, 21, dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS["scaled-sigmoid"]()(x), x - x**3 / 12, rtol=0, atol=1e-6)


def test_it_equals_its_layers_as_matrix_products():
    model = mlp(ROWS, hidden=(7, 3), activation="tanh").double()
    x = torch.randn(4, 5, dtype=torch.float64)
    parameters = dict(model.named_parameters())
    h = x
    for layer in ("linear1", "linear2"):
        h = torch.tanh(h @ parameters[f"{layer}.weight"].T + parameters[f"{layer}.bias"])
    torch.testing.assert_close(model(x), h @ parameters["output.weight"].T + parameters["output.bias"])


def test_batch_norm_is_between_layer_and_activation_and_replaces_the_bias():
    model = mlp(ROWS, hidden=(7,), batch_norm=True).double()
    x = torch.randn(6, 5, dtype=torch.float64)
    parameters = dict(model.named_parameters())
    assert list(parameters) == ["linear1.weight", "norm1.weight", "norm1.bias", "output.weight", "output.bias"]
    h = x @ parameters["linear1.weight"].T
    h = F.relu((h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt())
    torch.testing.assert_close(model(x), h @ parameters["output.weight"].T + parameters["output.bias"])


def test_dropout_acts_in_training_only_and_keeps_the_mean():
    model = mlp(ROWS, hidden=(20_000,), activation="identity", dropout=0.3).double()
    nn.init.constant_(model.get_parameter("linear1.weight"), 0.0)
    nn.init.constant_(model.get_parameter("linear1.bias"), 1.0)
    x = torch.zeros(1, 5, dtype=torch.float64)
    torch.manual_seed(0)
    hidden = model[:-1](x).detach()
    assert set(hidden.flatten().tolist()) == {0.0, 1 / 0.7}
    assert abs(float(hidden.mean()) - 1) < 0.02
    assert torch.equal(model.eval()[:-1](x), torch.ones_like(hidden))


def test_each_hidden_layer_has_its_dropout():
    model = mlp(ROWS, hidden=(6, 5, 4), dropout=(0.2, 0, 0.5))
    rates = {name: layer.p for name, layer in model.named_children() if isinstance(layer, nn.Dropout)}
    assert rates == {"dropout1": 0.2, "dropout3": 0.5}
    table = embedded_mlp(ROWS, hidden=(6, 5), dropout=(0.2, 0.5))
    assert [layer.p for layer in table.modules() if isinstance(layer, nn.Dropout)] == [0.2, 0.5]


@pytest.mark.parametrize(
    ("text", "dropout"),
    [("0.5", 0.5), ("0", 0.0), ("0.2,0.5", (0.2, 0.5)), ("[0.2,0.5]", (0.2, 0.5)), ([0.2, 0.5], (0.2, 0.5))],
)
def test_dropout_is_a_number_or_one_for_each_layer(text, dropout):
    config = merge_settings([("model", "mlp", "command line"), ("dropout", text, "command line")]).config
    assert config.model.options["dropout"] == dropout
    assert type(config.model.options["dropout"]) is type(dropout)


@pytest.mark.parametrize("build", [mlp, embedded_mlp])
def test_dropout_must_fit_the_hidden_layers(build):
    with pytest.raises(UsageError, match=r"dropout=0.2,0.5 has 2 numbers for 3 hidden layers"):
        build(ROWS, hidden=(4, 4, 4), dropout=(0.2, 0.5))
    with pytest.raises(UsageError, match="less than 1"):
        merge_settings([("model", "mlp", "command line"), ("dropout", "0.2,1", "command line")])


def test_without_hidden_layers_it_is_linear():
    assert [name for name, _ in mlp(ROWS, hidden=()).named_parameters()] == ["output.weight", "output.bias"]


@pytest.mark.parametrize(
    ("text", "hidden"), [("64,32", (64, 32)), ("64", (64,)), ("[64, 32]", (64, 32)), ("(8,)", (8,)), ("[]", ())]
)
def test_hidden_is_read_in_every_usual_notation(text, hidden):
    config = merge_settings([("model", "mlp", "command line"), ("hidden", text, "command line")]).config
    assert config.model.options["hidden"] == hidden
