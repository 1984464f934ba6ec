"""Equivalence of from-scratch averages, schedules, gradient clipping and gradient checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from scipy.signal import lfilter
from torch import Generator, Tensor, nn

from tests.scratch.case import Case, Pair
from tests.scratch.random_inputs import draw_fraction, draw_normal
from yisheng.scratch.clip_gradient import clip_gradient, clip_gradient_by_value
from yisheng.scratch.exponential_average import exponential_average
from yisheng.scratch.gradient_check import gradient_check, numeric_gradient
from yisheng.scratch.inverse_decay import inverse_decay
from yisheng.scratch.vanishing_gradients import vanishing_gradients


def make_corrected_average(rng: Generator) -> Pair:
    x, beta = draw_normal(rng, 40, 3), 0.5 + 0.49 * draw_fraction(rng)
    mean = pd.DataFrame(x.numpy()).ewm(alpha=1 - beta, adjust=True).mean().to_numpy(copy=True)
    return [exponential_average(x, beta=beta)], [torch.from_numpy(mean)]


def make_uncorrected_average(rng: Generator) -> Pair:
    x, beta = draw_normal(rng, 40, 3), 0.5 + 0.49 * draw_fraction(rng)
    filtered = lfilter([1 - beta], [1, -beta], x.numpy(), axis=0)
    return [exponential_average(x, beta=beta, corrected=False)], [torch.from_numpy(filtered)]


def make_inverse_decay(rng: Generator) -> Pair:
    lr, k = torch.rand(2, generator=rng, dtype=torch.float64).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 1 / (1 + k * e))
    library = []
    for _ in range(30):
        library.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    scratch = [inverse_decay(lr, epoch, k=k) for epoch in range(30)]
    return [torch.tensor(scratch, dtype=torch.float64)], [torch.tensor(library, dtype=torch.float64)]


def clip_by_torch(gradients: list[Tensor], clip: Callable[..., Any], bound: float) -> tuple[list[Tensor], Tensor]:
    """Return the gradients after an in-place function has clipped them, and its return value."""
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g.clone()
    result = clip(parameters, bound)
    return [p.grad for p in parameters], result


def draw_gradients(rng: Generator) -> list[Tensor]:
    return [draw_normal(rng, 4, 3), draw_normal(rng, 3), draw_normal(rng, 1)]


def make_clipping_by_norm(rng: Generator) -> Pair:
    gradients, max_norm = draw_gradients(rng), 8 * draw_fraction(rng)
    scratch, norm = clip_gradient(gradients, max_norm)
    library, expected_norm = clip_by_torch(gradients, nn.utils.clip_grad_norm_, max_norm)
    return [*scratch, norm], [*library, expected_norm]


def make_clipping_by_value(rng: Generator) -> Pair:
    gradients, bound = draw_gradients(rng), 2 * draw_fraction(rng)
    library, _ = clip_by_torch(gradients, nn.utils.clip_grad_value_, bound)
    return clip_gradient_by_value(gradients, bound), library


def draw_function(rng: Generator) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """Draw a function and a point, and return its gradient there as well."""
    w, x = draw_normal(rng, 4, 3), draw_normal(rng, 2, 4)

    def f(x: Tensor) -> Tensor:
        return torch.tanh(x @ w).square().sum()

    (gradient,) = torch.autograd.grad(f(leaf := x.clone().requires_grad_()), leaf)
    return f, x, gradient


def make_numeric_gradient(rng: Generator) -> Pair:
    f, x, gradient = draw_function(rng)
    return [numeric_gradient(f, x)], [gradient]


def make_verdicts(rng: Generator) -> Pair:
    f, x, correct = draw_function(rng)
    claims = (correct, 1.01 * correct)
    scratch = [bool(gradient_check(f, x, claim) < 1e-7) for claim in claims]
    leaf = x.clone().requires_grad_()
    library = [torch.autograd.gradcheck(with_gradient(f, claim), (leaf,), raise_exception=False) for claim in claims]
    return [torch.tensor(scratch)], [torch.tensor(library)]


def with_gradient(f: Callable[[Tensor], Tensor], gradient: Tensor) -> Callable[[Tensor], Tensor]:
    """Return f with the given gradient."""

    class Claim(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return f(x)

        @staticmethod
        def backward(ctx: Any, output_gradient: Tensor) -> Tensor:
            return output_gradient * gradient

    return Claim.apply


def make_vanishing_gradients(rng: Generator) -> Pair:
    x, weights = draw_normal(rng, 8, 6), [draw_normal(rng, 6, 6) / 2 for _ in range(12)]

    def compute_norms(activation: type[nn.Module]) -> Tensor:
        layers = [layer for _ in weights for layer in (nn.Linear(6, 6, bias=False), activation())]
        net = nn.Sequential(*layers).double()
        for p, w in zip(net.parameters(), weights, strict=True):
            p.data = w.T
        net(x).sum().backward()
        return torch.stack([p.grad.norm() for p in net.parameters()])

    scratch = [vanishing_gradients(x, weights), vanishing_gradients(x, weights, activation="relu")]
    return scratch, [compute_norms(nn.Sigmoid), compute_norms(nn.ReLU)]


CASES = [
    Case("exponential-average", "pandas ewm(adjust=True)", "output", 1e-14, make_corrected_average),
    Case("exponential-average", "scipy.signal.lfilter, uncorrected", "output", 1e-14, make_uncorrected_average),
    Case("inverse-decay", "torch.optim.lr_scheduler.LambdaLR", "30 epochs", 1e-15, make_inverse_decay),
    Case("clip-gradient", "torch.nn.utils.clip_grad_norm_", "gradients, norm", 1e-14, make_clipping_by_norm),
    Case("clip-gradient", "torch.nn.utils.clip_grad_value_, by value", "gradients", 0, make_clipping_by_value),
    Case("gradient-check", "torch.autograd.grad", "numeric gradient", 1e-8, make_numeric_gradient),
    Case("gradient-check", "torch.autograd.gradcheck", "verdict on a correct and a wrong gradient", 0, make_verdicts),
    Case(
        "vanishing-gradients",
        "torch.nn.Sequential, torch.autograd",
        "norms of 12 layers",
        1e-13,
        make_vanishing_gradients,
    ),
]
