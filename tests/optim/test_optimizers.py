"""Every optimizer equals torch's plain loop and the equation of its docstring."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.optim._fused import can_fuse
from yisheng.optim.parameter_groups import make_parameter_groups

PLAIN = {"foreach": False, "fused": False}
REFERENCES = [
    ("sgd", {}, lambda g: torch.optim.SGD(g, lr=0.1, **PLAIN)),
    ("sgd", {"lr": 0.3, "weight_decay": 0.1}, lambda g: torch.optim.SGD(g, lr=0.3, weight_decay=0.1, **PLAIN)),
    ("momentum", {}, lambda g: torch.optim.SGD(g, lr=0.05, momentum=0.9, **PLAIN)),
    (
        "momentum",
        {"momentum": 0.5, "weight_decay": 0.1},
        lambda g: torch.optim.SGD(g, lr=0.05, momentum=0.5, weight_decay=0.1, **PLAIN),
    ),
    (
        "nesterov",
        {},
        lambda g: torch.optim.SGD(g, lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True, **PLAIN),
    ),
    (
        "nesterov",
        {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.1},
        lambda g: torch.optim.SGD(g, lr=0.02, momentum=0.8, weight_decay=0.1, nesterov=True, **PLAIN),
    ),
    ("rmsprop", {}, lambda g: torch.optim.RMSprop(g, lr=1e-3, alpha=0.9, eps=1e-8, foreach=False)),
    (
        "rmsprop",
        {"lr": 0.01, "alpha": 0.99, "eps": 1e-3, "weight_decay": 0.1},
        lambda g: torch.optim.RMSprop(g, lr=0.01, alpha=0.99, eps=1e-3, weight_decay=0.1, foreach=False),
    ),
    ("adam", {}, lambda g: torch.optim.Adam(g, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, **PLAIN)),
    (
        "adam",
        {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        lambda g: torch.optim.Adam(g, lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1, **PLAIN),
    ),
    ("adamw", {}, lambda g: torch.optim.AdamW(g, lr=1e-3, weight_decay=0.01, **PLAIN)),
    (
        "adamw",
        {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.3},
        lambda g: torch.optim.AdamW(g, lr=0.05, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.3, **PLAIN),
    ),
]


def make_model(dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 3)).to(dtype)


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 20) -> list[torch.Tensor]:
    """Return all weights after each step, on batches that do not depend on the optimizer."""
    generator = torch.Generator().manual_seed(1)
    dtype = next(net.parameters()).dtype
    weights = []
    for _ in range(steps):
        x = torch.randn(10, 6, generator=generator, dtype=torch.float64).to(dtype)
        y = torch.randint(3, (10,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        weights.append(torch.cat([p.detach().flatten().clone() for p in net.parameters()]))
    return weights


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize(("name", "options", "make_reference"), REFERENCES)
def test_twenty_steps_equal_torchs(
    name: str, options: dict[str, Any], make_reference: Callable[..., Any], decay_bias: bool
) -> None:
    model, reference_model = make_model(), make_model()
    weights = train(
        model, registry.find("optim", name).build(make_parameter_groups(model, decay_bias=decay_bias), **options)
    )
    if decay_bias:
        groups = list(reference_model.parameters())
    else:
        linear1, norm, _, linear2 = reference_model
        without_decay = [linear1.bias, norm.weight, norm.bias, linear2.bias]
        groups = [
            {"params": [linear1.weight, linear2.weight]},
            {"params": without_decay, "weight_decay": 0.0},
        ]
    torch.testing.assert_close(weights, train(reference_model, make_reference(groups)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw"])
def test_fused_kernels_agree_with_the_plain_loops(name: str) -> None:
    """The gradients are random: those of a network would accumulate the rounding errors."""
    make_reference = {case[0]: case[2] for case in reversed(REFERENCES)}[name]
    torch.manual_seed(0)
    w = torch.randn(300, requires_grad=True)
    reference_w = w.detach().clone().requires_grad_()
    optimizers = registry.find("optim", name).build([{"params": [w]}]), make_reference([reference_w])
    assert optimizers[0].defaults["fused"]
    for _ in range(20):
        w.grad = torch.randn(300)
        reference_w.grad = w.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        torch.testing.assert_close(w, reference_w, rtol=1e-6, atol=1e-6)


def test_only_supported_types_and_devices_are_fused() -> None:
    real = [torch.zeros(2, dtype=dtype) for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)]
    assert can_fuse([{"params": real}])
    assert not can_fuse([{"params": real}, {"params": [torch.zeros(2, dtype=torch.complex64)]}])
    assert not can_fuse([{"params": [*real, torch.zeros(2, device="meta")]}])


def apply_equation(name: str, w: float, gradients: list[float], lr: float, weight_decay: float) -> float:
    """Return a number after the updates of the docstrings, with the default options."""
    v = m = s = 0.0
    for t, g in enumerate(gradients, start=1):
        h = g if name == "adamw" else g + weight_decay * w
        if name == "sgd":
            w -= lr * h
        elif name in ("momentum", "nesterov"):
            v = 0.9 * v + h
            w -= lr * (h + 0.9 * v if name == "nesterov" else v)
        elif name == "rmsprop":
            s = 0.9 * s + 0.1 * h * h
            w -= lr * h / (math.sqrt(s) + 1e-8)
        else:
            m, s = 0.9 * m + 0.1 * h, 0.999 * s + 0.001 * h * h
            w *= 1 - lr * weight_decay if name == "adamw" else 1
            w -= lr * (m / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return w


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
def test_steps_equal_the_equations(name: str) -> None:
    gradients = [0.5, -1.0, 2.0, 0.25, 0.0, -0.5]
    w = torch.tensor([1.5], dtype=torch.float64, requires_grad=True)
    optimizer = registry.find("optim", name).build([{"params": [w]}], lr=0.02, weight_decay=0.1)
    for g in gradients:
        w.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
    assert math.isclose(w.item(), apply_equation(name, 1.5, gradients, lr=0.02, weight_decay=0.1), rel_tol=1e-12)


@pytest.mark.parametrize(
    "settings_text",
    [
        ("optimizer=sgd", "lr=0"),
        ("optimizer=sgd", "lr=nan"),
        ("optimizer=sgd", "weight_decay=-1e-9"),
        ("optimizer=sgd", "momentum=0.9"),
        ("optimizer=momentum", "momentum=1"),
        ("optimizer=nesterov", "momentum=0"),
        ("optimizer=rmsprop", "alpha=1.5"),
        ("optimizer=adam", "betas=0.9"),
        ("optimizer=adam", "betas=0.9,1"),
        ("optimizer=adam", "betas=0.9,0.99,0.999"),
        ("optimizer=adamw", "eps=0"),
        ("optimizer=adamm",),
    ],
)
def test_invalid_options_are_errors(settings_text: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        merge_settings([(*setting.split("="), "command line") for setting in settings_text])
