"""The from-scratch optimizers on many models at once, each with its options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from yisheng.core import registry

K, N, STEPS = 6, 7, 60
NAMES = ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
all_optimizers = pytest.mark.parametrize("name", NAMES)
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def make_options(name: str) -> dict[str, Any]:
    """Return every option of the registered optimizer, with another value for each of K models."""
    position = torch.linspace(0, 1, K, dtype=torch.float64)
    values = {
        "lr": 10 ** (-3 + 2 * position),
        "weight_decay": torch.cat([torch.zeros(1, dtype=torch.float64), 10 ** (-4 + 3 * position[1:])]),
        "momentum": 0.5 + 0.45 * position,
        "alpha": 0.8 + 0.19 * position,
        "eps": 10 ** (-10 + 6 * position),
        "betas": (0.7 + 0.25 * position, 0.9 + 0.099 * position),
    }
    return {key: values[key] for key in registry.find("optim", name).options}


def select_model(options: dict[str, Any], k: int) -> dict[str, Any]:
    return {key: tuple(v[k].item() for v in x) if key == "betas" else x[k].item() for key, x in options.items()}


def as_columns(options: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v[:, None] for v in x) if key == "betas" else x[:, None] for key, x in options.items()}


def draw_problem() -> tuple[Tensor, Tensor, Tensor]:
    """Draw starts (K, N), curvatures (K, N) and noise for each step's gradient (STEPS, K, N)."""
    generator = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return normal(K, N), normal(K, N).square(), normal(STEPS, K, N)


def run_torch(name: str, options: dict[str, Any]) -> Tensor:
    """Return the final weights of each model, trained separately with the registered optimizer."""
    start, curvature, noise = draw_problem()
    final_weights = []
    for k in range(K):
        w = start[k].clone().requires_grad_()
        optimizer = registry.find("optim", name).build([{"params": [w]}], **select_model(options, k))
        for t in range(STEPS):
            w.grad = (curvature[k] * w + noise[t, k]).detach()
            optimizer.step()
        final_weights.append(w.detach())
    return torch.stack(final_weights)


@all_optimizers
def test_options_and_defaults_equal_those_of_the_registered_optimizer(name: str) -> None:
    scratch, registered = (registry.find(kind, name).options for kind in ("scratch", "optim"))
    assert {key: o.default for key, o in scratch.items()} == {key: o.default for key, o in registered.items()}


@all_optimizers
def test_broadcast_options_update_many_models_in_one_call(name: str) -> None:
    entry, options = registry.find("scratch", name), make_options(name)
    w, curvature, noise = draw_problem()
    state = (torch.zeros_like(w),) * entry.meta["state_tensors"]
    for t in range(STEPS):
        w, state = entry.build(w, curvature * w + noise[t], state, t + 1, **as_columns(options))
    torch.testing.assert_close(w, run_torch(name, options), **TOLERANCE)


@all_optimizers
def test_vmap_over_models_equals_separate_updates(name: str) -> None:
    """The number of the update may be a tensor, too."""
    entry, options = registry.find("scratch", name), make_options(name)
    w, curvature, noise = draw_problem()
    state = (torch.zeros_like(w),) * entry.meta["state_tensors"]
    vmapped = torch.func.vmap(lambda w, g, state, t, options: entry.build(w, g, state, t, **options))
    for t in range(STEPS):
        w, state = vmapped(w, curvature * w + noise[t], state, torch.full((K,), t + 1.0, dtype=torch.float64), options)
    torch.testing.assert_close(w, run_torch(name, options), **TOLERANCE)


@all_optimizers
def test_float64_options_keep_their_digits_under_vmap_of_float32_weights(name: str) -> None:
    """1 - 0.999 would lose four of its digits in float32."""
    entry, options = registry.find("scratch", name), make_options(name)
    w, curvature, noise = (tensor.float() for tensor in draw_problem())
    singles = [w[k] for k in range(K)]
    state = (torch.zeros_like(w),) * entry.meta["state_tensors"]
    states = [tuple(m[k] for m in state) for k in range(K)]
    for t in range(STEPS):
        vmapped = torch.func.vmap(lambda w, g, state, options, t=t: entry.build(w, g, state, t + 1, **options))
        w, state = vmapped(w, curvature * w + noise[t], state, options)
        for k in range(K):
            g = curvature[k] * singles[k] + noise[t, k]
            singles[k], states[k] = entry.build(singles[k], g, states[k], t + 1, **select_model(options, k))
    assert w.dtype == torch.float32
    torch.testing.assert_close(w, torch.stack(singles), rtol=0, atol=1e-7)


@all_optimizers
def test_arguments_are_not_changed(name: str) -> None:
    entry = registry.find("scratch", name)
    w, g = torch.ones(3), torch.full((3,), 2.0)
    state = tuple(torch.full((3,), 0.5) for _ in range(entry.meta["state_tensors"]))
    updated, new_state = entry.build(w, g, state, 3)
    assert torch.equal(w, torch.ones(3))
    assert torch.equal(g, torch.full((3,), 2.0))
    assert all(torch.equal(m, torch.full((3,), 0.5)) for m in state)
    assert len(new_state) == len(state)
    assert not torch.equal(updated, w)


@all_optimizers
def test_the_loss_is_differentiable_by_the_learning_rate(name: str) -> None:
    """An optimizer is a pure function of tensors: autograd equals the numeric derivative by lr."""
    entry = registry.find("scratch", name)

    def loss_after_updates(lr: Tensor) -> Tensor:
        w = torch.tensor([1.0, -2.0], dtype=torch.float64)
        state = (torch.zeros_like(w),) * entry.meta["state_tensors"]
        for t in (1, 2, 3):
            w, state = entry.build(w, w.tanh(), state, t, lr=lr)
        return w.square().sum()

    assert torch.autograd.gradcheck(loss_after_updates, (torch.tensor(0.05, dtype=torch.float64, requires_grad=True),))
