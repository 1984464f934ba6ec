"""Proofs of the hand-written layers of convolutional networks, the optimisers, and what training needs besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from case import Case, Pair, both
from scipy.signal import lfilter
from sklearn.model_selection import KFold
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from yisheng import models
from yisheng.core.types import Spec
from yisheng.scratch.adam import adam
from yisheng.scratch.adamw import adamw
from yisheng.scratch.average_pooling import average_pooling
from yisheng.scratch.batch_norm import batch_norm
from yisheng.scratch.clip_gradient import clip_gradient, clip_gradient_by_value
from yisheng.scratch.convolution_1x1 import convolution_1x1
from yisheng.scratch.cross_correlation import cross_correlation, cross_correlation_by_loops
from yisheng.scratch.exponential_average import exponential_average
from yisheng.scratch.gradient_check import gradient_check, numeric_gradient
from yisheng.scratch.inverse_decay import inverse_decay
from yisheng.scratch.k_fold import k_fold
from yisheng.scratch.lenet import lenet
from yisheng.scratch.max_pooling import max_pooling
from yisheng.scratch.mini_batches import mini_batches
from yisheng.scratch.momentum import momentum
from yisheng.scratch.nesterov import nesterov
from yisheng.scratch.padding import padding
from yisheng.scratch.residual_block import residual_block
from yisheng.scratch.rmsprop import rmsprop
from yisheng.scratch.sgd import sgd
from yisheng.scratch.vanishing_gradients import vanishing_gradients

Step = Callable[[list[Tensor], list[Tensor], int], None]
STEPS = 200
BATCH_NORM = "torch.nn.functional.batch_norm"


def drawn(rng: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def whole(rng: Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


def of_padding(rng: Generator) -> Pair:
    n = whole(rng, 0, 3)
    return both(lambda x: padding(x, n, value=2.5), lambda x: F.pad(x, (n,) * 4, value=2.5), drawn(rng, 2, 3, 5, 4))


def of_cross_correlation(rng: Generator) -> Pair:
    stride, size = whole(rng, 1, 3), whole(rng, 0, 2)
    w = drawn(rng, 4, 3, whole(rng, 1, 5), whole(rng, 1, 5))
    return both(
        lambda x, w, b: cross_correlation(x, w, b, stride=stride, padding=size),
        lambda x, w, b: F.conv2d(x, w, b, stride=stride, padding=size),
        drawn(rng, 2, 3, whole(rng, 5, 9), whole(rng, 5, 9)), w, drawn(rng, 4),
    )  # fmt: skip


def of_loops(rng: Generator) -> Pair:
    return both(
        cross_correlation_by_loops,
        lambda x, w: F.conv2d(x[None, None], w[None, None])[0, 0],
        drawn(rng, 6, 5), drawn(rng, whole(rng, 1, 3), whole(rng, 1, 3)),
    )  # fmt: skip


def of_convolution_1x1(rng: Generator) -> Pair:
    return both(
        convolution_1x1,
        lambda x, w, b: F.conv2d(x, w[:, :, None, None], b),
        drawn(rng, 2, 3, 5, 4), drawn(rng, 6, 3), drawn(rng, 6),
    )  # fmt: skip


def of_pooling(ours: Callable[..., Tensor], theirs: Callable[..., Tensor]) -> Callable[[Generator], Pair]:
    def make(rng: Generator) -> Pair:
        size = whole(rng, 1, 3)
        stride, edge = whole(rng, 1, 3), whole(rng, 0, size // 2)
        x = drawn(rng, 2, 3, whole(rng, 3, 9), whole(rng, 3, 9))
        x = x.round() if whole(rng, 0, 1) else x  # then some are equal
        found, known = both(
            lambda x: ours(x, size, stride=stride, padding=edge),
            lambda x: theirs(x, size, stride=stride, padding=edge),
            x,
        )
        return [*found, ours(x, size)], [*known, theirs(x, size)]

    return make


def of_batch_norm(training: bool, *size: int) -> Callable[[Generator], Pair]:
    """Three batches, one after the other, so that the averages move on from where they were."""

    def make(rng: Generator) -> Pair:
        x, gamma, beta = drawn(rng, 3, 6, 4, *size), drawn(rng, 4), drawn(rng, 4)
        mean, var = drawn(rng, 4), drawn(rng, 4).square()

        def ours(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
            averages, outputs = (mean, var), []
            for batch in x:
                y, *averages = batch_norm(batch, gamma, beta, *averages, training=training, momentum=0.3)
                outputs.append(y)
            return (*outputs, *averages)

        def theirs(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
            averages = mean.clone(), var.clone()
            outputs = [F.batch_norm(batch, *averages, gamma, beta, training, 0.3) for batch in x]
            return (*outputs, *averages)

        return both(ours, theirs, x, gamma, beta)

    return make


def of_residual_block(rng: Generator) -> Pair:
    stride = whole(rng, 1, 2)
    change = stride == 2
    out = 5 if change else 3
    shapes = [(out, 3, 3, 3), (out, out, 3, 3), (out, 3, 1, 1)][: 2 + change]
    layers = [p for shape in shapes for p in (drawn(rng, *shape), drawn(rng, out), drawn(rng, out))]

    def ours(x: Tensor, *p: Tensor) -> Tensor:
        return residual_block(x, p[:3], p[3:6], p[6:] or None, stride=stride)

    def theirs(x: Tensor, *p: Tensor) -> Tensor:
        y = F.relu(F.batch_norm(F.conv2d(x, p[0], stride=stride, padding=1), None, None, p[1], p[2], True))
        y = F.batch_norm(F.conv2d(y, p[3], padding=1), None, None, p[4], p[5], True)
        if change:
            x = F.batch_norm(F.conv2d(x, p[6], stride=stride), None, None, p[7], p[8], True)
        return F.relu(x + y)

    return both(ours, theirs, drawn(rng, 4, 3, 6, 6), *layers)


def of_lenet(rng: Generator) -> Pair:
    spec = Spec("classification", (2, 16, 14), classes=tuple("abc"))
    net = models.build("lenet", spec, style="classic").double()
    weights = [drawn(rng, *p.shape) / p[0].numel() ** 0.5 for p in net.parameters()]
    names = [name for name, _ in net.named_parameters()]

    def ours(x: Tensor, *p: Tensor) -> Tensor:
        layers = list(zip(p[::2], p[1::2], strict=True))
        return lenet(x, layers[:2], layers[2:])

    def theirs(x: Tensor, *p: Tensor) -> Tensor:
        return torch.func.functional_call(net, dict(zip(names, p, strict=True)), (x,))

    return both(ours, theirs, drawn(rng, 3, 2, 16, 14), *weights)


def trajectory(rng: Generator, step: Step) -> Callable[[], Tensor]:
    """The weights of a small net after each of 200 steps; drawn once, walked as often as it is called.

    In batches: at the bottom of a full loss gradients vanish, and what divides by their size (RMSprop, Adam)
    magnifies the last bit of any rounding.
    """
    x, y = drawn(rng, 60, 5), drawn(rng, 60, 2)
    batches = torch.randint(0, 60, (STEPS, 8), generator=rng)
    start = [drawn(rng, 5, 4), drawn(rng, 4), drawn(rng, 4, 2)]

    def walk() -> Tensor:
        weights, places = [w.clone().requires_grad_() for w in start], []
        for t in range(1, STEPS + 1):
            a, b, c = weights
            rows = batches[t - 1]
            loss = (torch.tanh(x[rows] @ a + b) @ c - y[rows]).square().mean()
            step(weights, list(torch.autograd.grad(loss, weights)), t)
            places.append(torch.cat([w.detach().flatten() for w in weights]))
        return torch.stack(places)

    return walk


def by_hand(optimiser: Callable[..., Any], memories: int, options: dict[str, Any]) -> Step:
    remembered: dict[int, tuple[Tensor, ...]] = {}

    @torch.no_grad()
    def step(weights: list[Tensor], gradients: list[Tensor], t: int) -> None:
        for i, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            memory = remembered.get(i, (torch.zeros_like(w),) * memories)
            new, remembered[i] = optimiser(w, g, memory, t, **options)
            w.copy_(new)

    return step


def by_torch(optimiser: Callable[..., torch.optim.Optimizer], options: dict[str, Any]) -> Step:
    made: list[torch.optim.Optimizer] = []

    def step(weights: list[Tensor], gradients: list[Tensor], t: int) -> None:
        if not made:
            made.append(optimiser(weights, **options))
        for w, g in zip(weights, gradients, strict=True):
            w.grad = g
        made[0].step()

    return step


def in_torchs_words(ours: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    extra = {"nesterov": True} if ours is nesterov else {}
    return options | extra


def of_optimiser(
    ours: Callable[..., Any], memories: int, theirs: Callable[..., torch.optim.Optimizer], options: dict[str, Any]
) -> Callable[[Generator], Pair]:
    def make(rng: Generator) -> Pair:
        state = rng.get_state()
        first = trajectory(rng, by_hand(ours, memories, options))()
        rng.set_state(state)  # the same net, data and start
        second = trajectory(rng, by_torch(theirs, in_torchs_words(ours, options)))()
        return [first], [second]

    return make


def of_corrected_average(rng: Generator) -> Pair:
    x, beta = drawn(rng, 40, 3), 0.5 + 0.49 * float(torch.rand((), generator=rng))
    mean = pd.DataFrame(x.numpy()).ewm(alpha=1 - beta, adjust=True).mean().to_numpy(copy=True)
    return [exponential_average(x, beta=beta)], [torch.from_numpy(mean)]


def of_uncorrected_average(rng: Generator) -> Pair:
    x, beta = drawn(rng, 40, 3), 0.5 + 0.49 * float(torch.rand((), generator=rng))
    filtered = lfilter([1 - beta], [1, -beta], x.numpy(), axis=0)
    return [exponential_average(x, beta=beta, corrected=False)], [torch.from_numpy(filtered)]


def of_inverse_decay(rng: Generator) -> Pair:
    lr, k = torch.rand(2, generator=rng, dtype=torch.float64).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 1 / (1 + k * e))
    theirs = []
    for _ in range(30):
        theirs.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    ours = [inverse_decay(lr, epoch, k=k) for epoch in range(30)]
    return [torch.tensor(ours, dtype=torch.float64)], [torch.tensor(theirs, dtype=torch.float64)]


def of_mini_batches(rng: Generator) -> Pair:
    n, size, seed = whole(rng, 1, 40), whole(rng, 1, 12), whole(rng, 0, 10**6)
    x, y = drawn(rng, n, 3), drawn(rng, n)
    sampler = RandomSampler(x, generator=torch.Generator().manual_seed(seed))
    theirs = DataLoader(TensorDataset(x, y), batch_size=size, sampler=sampler)
    ours = mini_batches(x, y, size=size, generator=torch.Generator().manual_seed(seed))
    return [t for batch in ours for t in batch], [t for batch in theirs for t in batch]


def clipped(gradients: list[Tensor], clip: Callable[..., Any], most: float) -> tuple[list[Tensor], Tensor]:
    """The gradients after one of torch's clippings in place, and what it gives."""
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g.clone()
    given = clip(parameters, most)
    return [p.grad for p in parameters], given


def of_clipping_by_norm(rng: Generator) -> Pair:
    gradients, most = [drawn(rng, 4, 3), drawn(rng, 3), drawn(rng, 1)], 8 * float(torch.rand((), generator=rng))
    (ours, norm), (theirs, their_norm) = (
        clip_gradient(gradients, most),
        clipped(gradients, nn.utils.clip_grad_norm_, most),
    )
    return [*ours, norm], [*theirs, their_norm]


def of_clipping_by_value(rng: Generator) -> Pair:
    gradients, most = [drawn(rng, 4, 3), drawn(rng, 3), drawn(rng, 1)], 2 * float(torch.rand((), generator=rng))
    return clip_gradient_by_value(gradients, most), clipped(gradients, nn.utils.clip_grad_value_, most)[0]


def measured(rng: Generator) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """A function, a place, and its gradient there."""
    w, x = drawn(rng, 4, 3), drawn(rng, 2, 4)

    def f(x: Tensor) -> Tensor:
        return torch.tanh(x @ w).square().sum()

    (gradient,) = torch.autograd.grad(f(leaf := x.clone().requires_grad_()), leaf)
    return f, x, gradient


def of_numeric_gradient(rng: Generator) -> Pair:
    f, x, gradient = measured(rng)
    return [numeric_gradient(f, x)], [gradient]


def of_verdicts(rng: Generator) -> Pair:
    f, x, right = measured(rng)
    claims = (right, 1.01 * right)
    ours = [bool(gradient_check(f, x, claim) < 1e-7) for claim in claims]
    leaf = x.clone().requires_grad_()
    theirs = [torch.autograd.gradcheck(claiming(f, claim), (leaf,), raise_exception=False) for claim in claims]
    return [torch.tensor(ours)], [torch.tensor(theirs)]


def claiming(f: Callable[[Tensor], Tensor], gradient: Tensor) -> Callable[[Tensor], Tensor]:
    """f, but with this for its gradient."""

    class Claim(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return f(x)

        @staticmethod
        def backward(ctx: Any, above: Tensor) -> Tensor:
            return above * gradient

    return Claim.apply


def of_k_fold(rng: Generator) -> Pair:
    n = whole(rng, 2, 60)
    k = whole(rng, 2, min(n, 10))
    theirs = KFold(n_splits=k).split(np.zeros(n))
    return [t for fold in k_fold(n, k=k) for t in fold], [torch.from_numpy(t) for fold in theirs for t in fold]


def of_vanishing(rng: Generator) -> Pair:
    x, weights = drawn(rng, 8, 6), [drawn(rng, 6, 6) / 2 for _ in range(12)]

    def norms(activation: type[nn.Module]) -> Tensor:
        net = nn.Sequential(*[part for _ in weights for part in (nn.Linear(6, 6, bias=False), activation())]).double()
        for p, w in zip(net.parameters(), weights, strict=True):
            p.data = w.T
        net(x).sum().backward()
        return torch.stack([p.grad.norm() for p in net.parameters()])

    ours = [vanishing_gradients(x, weights), vanishing_gradients(x, weights, activation="relu")]
    return ours, [norms(nn.Sigmoid), norms(nn.ReLU)]


OPTIMISERS = [
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
"""Concept, ours, its memories, torch's, options."""


def said(theirs: type, options: dict[str, Any]) -> str:
    """torch's form, for the table."""
    words = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"torch.optim.{theirs.__name__}({words})"


LAYER, WALK = "output, gradients", f"trajectory of {STEPS} updates"
TRAINING, EVALUATION = ("training", True, "output, moving averages, gradients"), ("evaluation", False, LAYER)
CASES = [
    Case("padding", "torch.nn.functional.pad", LAYER, 0, of_padding),
    Case("cross-correlation", "torch.nn.functional.conv2d", LAYER, 1e-13, of_cross_correlation),
    Case("cross-correlation", "torch.nn.functional.conv2d, one channel, by loops", LAYER, 1e-13, of_loops),
    Case("convolution-1x1", "torch.nn.functional.conv2d", LAYER, 1e-13, of_convolution_1x1),
    Case("max-pooling", "torch.nn.functional.max_pool2d", LAYER, 1e-15, of_pooling(max_pooling, F.max_pool2d)),
    Case("average-pooling", "torch.nn.functional.avg_pool2d", LAYER, 1e-14, of_pooling(average_pooling, F.avg_pool2d)),
    *[
        Case("batch-norm", f"{BATCH_NORM}, {part}, {shape}", compared, 1e-12, of_batch_norm(training, *size))
        for part, training, compared in (TRAINING, EVALUATION)
        for shape, size in (("rows", ()), ("images", (3, 2)))
    ],
    Case("residual-block", "conv2d, batch_norm, relu of torch.nn.functional", LAYER, 1e-12, of_residual_block),
    Case("lenet", 'yisheng.models.build("lenet", style="classic"), of torch.nn', LAYER, 1e-13, of_lenet),
    *[
        Case(
            name,
            said(theirs, in_torchs_words(ours, options)),
            WALK,
            1e-12,
            of_optimiser(ours, memories, theirs, options),
        )
        for name, ours, memories, theirs, options in OPTIMISERS
    ],
    Case("exponential-average", "pandas ewm(adjust=True)", "output", 1e-14, of_corrected_average),
    Case("exponential-average", "scipy.signal.lfilter, uncorrected", "output", 1e-14, of_uncorrected_average),
    Case("inverse-decay", "torch.optim.lr_scheduler.LambdaLR", "30 epochs", 1e-15, of_inverse_decay),
    Case("mini-batches", "torch.utils.data.DataLoader", "every batch of an epoch", 0, of_mini_batches),
    Case("clip-gradient", "torch.nn.utils.clip_grad_norm_", "gradients, norm", 1e-14, of_clipping_by_norm),
    Case("clip-gradient", "torch.nn.utils.clip_grad_value_, by value", "gradients", 0, of_clipping_by_value),
    Case("gradient-check", "torch.autograd.grad", "measured gradient", 1e-8, of_numeric_gradient),
    Case("gradient-check", "torch.autograd.gradcheck", "verdict on a right and a wrong gradient", 0, of_verdicts),
    Case("k-fold", "sklearn.model_selection.KFold", "row numbers", 0, of_k_fold),
    Case("vanishing-gradients", "torch.nn.Sequential, torch.autograd", "norms of 12 layers", 1e-13, of_vanishing),
]
