"""Every initialization equals torch's from the same generator, and the equation of its variance."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.init.kaiming import Mode, Nonlinearity
from yisheng.init.uniform import uniform

SHAPES = ((40, 30), (8, 3, 5, 5))
REFERENCES = [
    ("normal", {}, lambda w: nn.init.normal_(w, 0, 0.01)),
    ("normal", {"mean": 1.0, "std": 2.0}, lambda w: nn.init.normal_(w, 1, 2)),
    ("uniform", {}, lambda w: nn.init.uniform_(w, -0.05, 0.05)),
    ("uniform", {"low": 1.0, "high": 3.0}, lambda w: nn.init.uniform_(w, 1, 3)),
    ("constant", {"value": 0.25}, lambda w: nn.init.constant_(w, 0.25)),
    ("zeros", {}, nn.init.zeros_),
    ("xavier-normal", {}, nn.init.xavier_normal_),
    ("xavier-normal", {"gain": 2.0}, lambda w: nn.init.xavier_normal_(w, 2.0)),
    ("xavier-uniform", {}, nn.init.xavier_uniform_),
    ("xavier-uniform", {"gain": 2.0}, lambda w: nn.init.xavier_uniform_(w, 2.0)),
    ("kaiming-normal", {}, lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
    ("kaiming-normal", {"mode": "fan-out"}, lambda w: nn.init.kaiming_normal_(w, 0, "fan_out", "relu")),
    ("kaiming-uniform", {}, lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu")),
    ("kaiming-uniform", {"nonlinearity": "linear"}, lambda w: nn.init.kaiming_uniform_(w, 0, "fan_in", "linear")),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "options", "fill"), REFERENCES)
def test_weights_equal_torchs(name, options, fill, shape):
    weight, expected = torch.zeros(shape), torch.zeros(shape)
    torch.manual_seed(3)
    registry.find("init", name).build(weight, **options)
    torch.manual_seed(3)
    fill(expected)
    assert torch.equal(weight, expected)
    assert torch.equal(weight, torch.zeros(shape)) == (name == "zeros")


GAINS = {"relu": 2.0, "leaky-relu": 2 / (1 + 0.01**2), "tanh": 25 / 9, "sigmoid": 1.0, "selu": 9 / 16, "linear": 1.0}


def compute_variance(name: str, shape: tuple[int, ...], **options: object) -> float:
    torch.manual_seed(0)
    weight = torch.zeros(shape, dtype=torch.float64)
    registry.find("init", name).build(weight, **options)
    return float(weight.var())


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), [((300, 800), 800, 300), ((40, 20, 7, 7), 980, 1960)])
def test_variances_equal_the_papers(kind, shape, fan_in, fan_out):
    tolerance = {"rel_tol": 0.03}  # 39,200 weights or more: a few standard errors
    assert math.isclose(compute_variance(f"xavier-{kind}", shape), 2 / (fan_in + fan_out), **tolerance)
    assert math.isclose(compute_variance(f"xavier-{kind}", shape, gain=3.0), 18 / (fan_in + fan_out), **tolerance)
    for mode, fan in zip(get_args(Mode), (fan_in, fan_out), strict=True):
        for nonlinearity in get_args(Nonlinearity):
            variance = compute_variance(f"kaiming-{kind}", shape, mode=mode, nonlinearity=nonlinearity)
            assert math.isclose(variance, GAINS[nonlinearity] / fan, **tolerance)


@settings(deadline=None)
@given(low=st.floats(-1e3, 1e3), high=st.floats(-1e3, 1e3))
def test_uniform_stays_in_its_interval(low, high):
    weight = torch.full((20, 20), math.nan, dtype=torch.float64)
    if low > high:
        with pytest.raises(UsageError, match="low to be at most high"):
            uniform(weight, low=low, high=high)
    else:
        uniform(weight, low=low, high=high)
        assert ((weight >= low) & (weight <= high)).all()


@pytest.mark.parametrize(
    "settings_text",
    [
        ("init=normal", "std=-1"),
        ("init=normal", "std=nan"),
        ("init=normal", "mean=inf"),
        ("init=constant", "value=nan"),
        ("init=uniform", "high=inf"),
        ("init=xavier-normal", "gain=0"),
        ("init=kaiming-normal", "mode=fan"),
        ("init=kaiming-normal", "nonlinearity=gelu"),
        ("init=zeros", "std=1"),
        ("init=xavier", "gain=1"),
    ],
)
def test_invalid_options_are_errors(settings_text):
    with pytest.raises(UsageError):
        merge_settings([(*setting.split("="), "command line") for setting in settings_text])
