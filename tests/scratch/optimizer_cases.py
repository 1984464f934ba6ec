"""Equivalence of from-scratch optimizers: the weights of a small network after each of 200 updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from tests.scratch.case import Case, Pair
from tests.scratch.random_inputs import draw_normal
from yisheng.scratch.adam import adam
from yisheng.scratch.adamw import adamw
from yisheng.scratch.momentum import momentum
from yisheng.scratch.nesterov import nesterov
from yisheng.scratch.rmsprop import rmsprop
from yisheng.scratch.sgd import sgd

Step = Callable[[list[Tensor], list[Tensor], int], None]
STEPS = 200


def draw_problem(rng: Generator) -> Callable[[Step], Tensor]:
    """Draw a network, data and batches; return a function that trains with a step and returns all weights.

    It trains in batches: at the minimum of a full loss the gradients vanish, and RMSprop and Adam, which divide by
    their size, amplify rounding errors.
    """
    x, y = draw_normal(rng, 60, 5), draw_normal(rng, 60, 2)
    batches = torch.randint(0, 60, (STEPS, 8), generator=rng)
    start = [draw_normal(rng, 5, 4), draw_normal(rng, 4), draw_normal(rng, 4, 2)]

    def train(step: Step) -> Tensor:
        weights, trajectory = [w.clone().requires_grad_() for w in start], []
        for t in range(1, STEPS + 1):
            a, b, c = weights
            rows = batches[t - 1]
            loss = (torch.tanh(x[rows] @ a + b) @ c - y[rows]).square().mean()
            step(weights, list(torch.autograd.grad(loss, weights)), t)
            trajectory.append(torch.cat([w.detach().flatten() for w in weights]))
        return torch.stack(trajectory)

    return train


def scratch_step(optimizer: Callable[..., Any], state_tensors: int, options: dict[str, Any]) -> Step:
    states: dict[int, tuple[Tensor, ...]] = {}

    @torch.no_grad()
    def step(weights: list[Tensor], gradients: list[Tensor], t: int) -> None:
        for i, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            state = states.get(i, (torch.zeros_like(w),) * state_tensors)
            updated, states[i] = optimizer(w, g, state, t, **options)
            w.copy_(updated)

    return step


def torch_step(make_optimizer: Callable[..., torch.optim.Optimizer], options: dict[str, Any]) -> Step:
    optimizers: list[torch.optim.Optimizer] = []

    def step(weights: list[Tensor], gradients: list[Tensor], t: int) -> None:
        if not optimizers:
            optimizers.append(make_optimizer(weights, **options))
        for w, g in zip(weights, gradients, strict=True):
            w.grad = g
        optimizers[0].step()

    return step


def torch_options(scratch: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "nesterov": True} if scratch is nesterov else options


def trajectory(
    scratch: Callable[..., Any], state_tensors: int, library: Callable[..., Any], options: dict[str, Any]
) -> Callable[[Generator], Pair]:
    def make(rng: Generator) -> Pair:
        train = draw_problem(rng)
        values = train(scratch_step(scratch, state_tensors, options))
        return [values], [train(torch_step(library, torch_options(scratch, options)))]

    return make


def describe(library: type, options: dict[str, Any]) -> str:
    """Return torch's form, for the table."""
    arguments = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"torch.optim.{library.__name__}({arguments})"


OPTIMIZERS = [
    ("sgd", sgd, 0, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.0}),
    ("sgd", sgd, 0, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.01}),
    ("momentum", momentum, 1, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0}),
    ("momentum", momentum, 1, torch.optim.SGD, {"lr": 0.05, "momentum": 0.7, "weight_decay": 0.01}),
    ("nesterov", nesterov, 1, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0}),
    ("nesterov", nesterov, 1, torch.optim.SGD, {"lr": 0.05, "momentum": 0.7, "weight_decay": 5e-4}),
    ("rmsprop", rmsprop, 1, torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.0}),
    ("rmsprop", rmsprop, 1, torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.99, "eps": 1e-6, "weight_decay": 0.01}),
    ("adam", adam, 2, torch.optim.Adam, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
    ("adam", adam, 2, torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.01}),
    ("adamw", adamw, 2, torch.optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
    ("adamw", adamw, 2, torch.optim.AdamW, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
]
"""Concept, from-scratch form, its state tensors, torch's form, options."""

CASES = [
    Case(
        name,
        describe(library, torch_options(scratch, options)),
        f"trajectory of {STEPS} updates",
        1e-12,
        trajectory(scratch, state_tensors, library, options),
    )
    for name, scratch, state_tensors, library, options in OPTIMIZERS
]
