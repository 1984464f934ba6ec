"""The hand-written optimisers on many models at once, each with options of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from yisheng.core import registry

K, N, STEPS = 6, 7, 60
NAMES = ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
each = pytest.mark.parametrize("name", NAMES)
SAME = {"rtol": 1e-12, "atol": 1e-12}


def options_of(name: str) -> dict[str, Any]:
    """Every option of the registered optimiser, another value for each of K models."""
    spread = torch.linspace(0, 1, K, dtype=torch.float64)
    values = {
        "lr": 10 ** (-3 + 2 * spread),
        "weight_decay": torch.cat([torch.zeros(1, dtype=torch.float64), 10 ** (-4 + 3 * spread[1:])]),
        "momentum": 0.5 + 0.45 * spread,
        "alpha": 0.8 + 0.19 * spread,
        "eps": 10 ** (-10 + 6 * spread),
        "betas": (0.7 + 0.25 * spread, 0.9 + 0.099 * spread),
    }
    return {key: values[key] for key in registry.find("optim", name).options}


def of_model(options: dict[str, Any], k: int) -> dict[str, Any]:
    return {key: tuple(v[k].item() for v in x) if key == "betas" else x[k].item() for key, x in options.items()}


def as_columns(options: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v[:, None] for v in x) if key == "betas" else x[:, None] for key, x in options.items()}


def problem() -> tuple[Tensor, Tensor, Tensor]:
    """Starts (K, N), curvatures (K, N) and a noise for each step's gradient (STEPS, K, N)."""
    draw = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    return normal(K, N), normal(K, N).square(), normal(STEPS, K, N)


def by_torch(name: str, options: dict[str, Any]) -> Tensor:
    """Each model by itself with the registered optimiser."""
    start, curve, noise = problem()
    ends = []
    for k in range(K):
        w = start[k].clone().requires_grad_()
        optimizer = registry.find("optim", name).build([{"params": [w]}], **of_model(options, k))
        for t in range(STEPS):
            w.grad = (curve[k] * w + noise[t, k]).detach()
            optimizer.step()
        ends.append(w.detach())
    return torch.stack(ends)


@each
def test_options_are_those_of_the_registered_optimiser(name: str) -> None:
    ours, theirs = (registry.find(kind, name).options for kind in ("scratch", "optim"))
    assert {key: o.default for key, o in ours.items()} == {key: o.default for key, o in theirs.items()}


@each
def test_options_that_broadcast_update_many_models_in_one_call(name: str) -> None:
    entry, options = registry.find("scratch", name), options_of(name)
    w, curve, noise = problem()
    memory = (torch.zeros_like(w),) * entry.meta["memories"]
    for t in range(STEPS):
        w, memory = entry.build(w, curve * w + noise[t], memory, t + 1, **as_columns(options))
    torch.testing.assert_close(w, by_torch(name, options), **SAME)


@each
def test_vmap_lifts_it_over_models(name: str) -> None:
    """Also the number of the update may differ: here a tensor."""
    entry, options = registry.find("scratch", name), options_of(name)
    w, curve, noise = problem()
    memory = (torch.zeros_like(w),) * entry.meta["memories"]
    lifted = torch.func.vmap(lambda w, g, memory, t, options: entry.build(w, g, memory, t, **options))
    for t in range(STEPS):
        w, memory = lifted(w, curve * w + noise[t], memory, torch.full((K,), t + 1.0, dtype=torch.float64), options)
    torch.testing.assert_close(w, by_torch(name, options), **SAME)


@each
def test_in_float32_options_in_float64_keep_their_digits_under_vmap(name: str) -> None:
    """1 - 0.999 would lose four of its digits in float32: models together are models by themselves, to the bit."""
    entry, options = registry.find("scratch", name), options_of(name)
    w, curve, noise = (tensor.float() for tensor in problem())
    singles = [w[k] for k in range(K)]
    memory = (torch.zeros_like(w),) * entry.meta["memories"]
    memories = [tuple(m[k] for m in memory) for k in range(K)]
    for t in range(STEPS):
        lifted = torch.func.vmap(lambda w, g, memory, options, t=t: entry.build(w, g, memory, t + 1, **options))
        w, memory = lifted(w, curve * w + noise[t], memory, options)
        for k in range(K):
            g = curve[k] * singles[k] + noise[t, k]
            singles[k], memories[k] = entry.build(singles[k], g, memories[k], t + 1, **of_model(options, k))
    assert w.dtype == torch.float32
    torch.testing.assert_close(w, torch.stack(singles), rtol=0, atol=1e-7)


@each
def test_nothing_that_was_handed_over_is_changed(name: str) -> None:
    entry = registry.find("scratch", name)
    w, g = torch.ones(3), torch.full((3,), 2.0)
    memory = tuple(torch.full((3,), 0.5) for _ in range(entry.meta["memories"]))
    new, after = entry.build(w, g, memory, 3)
    assert torch.equal(w, torch.ones(3))
    assert torch.equal(g, torch.full((3,), 2.0))
    assert all(torch.equal(m, torch.full((3,), 0.5)) for m in memory)
    assert len(after) == len(memory)
    assert not torch.equal(new, w)


@each
def test_it_can_be_differentiated_by_its_learning_rate(name: str) -> None:
    """A pure function of tensors: the loss after a step has a slope along lr, here against the slope measured."""
    entry = registry.find("scratch", name)

    def after(lr: Tensor) -> Tensor:
        w = torch.tensor([1.0, -2.0], dtype=torch.float64)
        memory = (torch.zeros_like(w),) * entry.meta["memories"]
        for t in (1, 2, 3):
            w, memory = entry.build(w, w.tanh(), memory, t, lr=lr)
        return w.square().sum()

    assert torch.autograd.gradcheck(after, (torch.tensor(0.05, dtype=torch.float64, requires_grad=True),))
