"""Equivalence of from-scratch losses, activations and penalties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from tests.scratch.case import Case, Pair, run_both
from tests.scratch.random_inputs import draw_classes, draw_fraction, draw_normal, draw_wide
from yisheng.scratch.absolute_loss import absolute_loss
from yisheng.scratch.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_naive
from yisheng.scratch.cross_entropy import cross_entropy, cross_entropy_naive
from yisheng.scratch.huber_loss import huber_loss
from yisheng.scratch.l1_penalty import l1_penalty
from yisheng.scratch.l2_penalty import l2_penalty
from yisheng.scratch.log_sum_exp import log_sum_exp, log_sum_exp_naive
from yisheng.scratch.relu import relu
from yisheng.scratch.sigmoid import sigmoid, sigmoid_naive
from yisheng.scratch.softmax import softmax, softmax_naive
from yisheng.scratch.squared_loss import squared_loss
from yisheng.scratch.tanh import tanh

Make = Callable[[Generator], Pair]
TensorFunction = Callable[..., Tensor]


def regression_loss(scratch: TensorFunction, library: TensorFunction) -> Make:
    """Return a case in which some errors are zero."""

    def make(rng: Generator) -> Pair:
        y = draw_normal(rng, 8, 3)
        return run_both(scratch, lambda o, y: library(o, y, reduction="none"), y + draw_wide(rng, 8, 3), y)

    return make


def half_mse_loss(*inputs: Tensor, **options: Any) -> Tensor:
    return F.mse_loss(*inputs, **options) / 2


def make_huber(rng: Generator) -> Pair:
    delta, y = 3 * draw_fraction(rng), draw_normal(rng, 8, 3)
    output = torch.cat([y + draw_wide(rng, 8, 3), y + delta])  # some errors are exactly delta
    y = torch.cat([y, y])
    return run_both(
        lambda o, y: huber_loss(o, y, delta=delta),
        lambda o, y: F.huber_loss(o, y, reduction="none", delta=delta),
        output,
        y,
    )


def make_softmax(rng: Generator) -> Pair:
    t = 0.1 + 5 * draw_fraction(rng)
    return run_both(lambda z: softmax(z, temperature=t), lambda z: (z / t).softmax(-1), draw_wide(rng, 2, 6, 5))


def over_last_axis(scratch: TensorFunction, library: TensorFunction, draw: TensorFunction) -> Make:
    return lambda rng: run_both(scratch, lambda z: library(z, -1), draw(rng, 2, 6, 5))


def classification_loss(scratch: TensorFunction, draw: TensorFunction) -> Make:
    def make(rng: Generator) -> Pair:
        y = draw_classes(rng, 5, 12)
        return run_both(lambda z: scratch(z, y), lambda z: F.cross_entropy(z, y, reduction="none"), draw(rng, 12, 5))

    return make


def binary_loss(scratch: TensorFunction, draw: TensorFunction) -> Make:
    """Return a case with targets of 0, of 1 and between."""

    def make(rng: Generator) -> Pair:
        y = (2 * torch.rand(12, 4, generator=rng, dtype=torch.float64) - 0.5).clamp(0, 1)
        library = F.binary_cross_entropy_with_logits
        return run_both(lambda z: scratch(z, y), lambda z: library(z, y, reduction="none"), draw(rng, 12, 4))

    return make


def activation(scratch: TensorFunction, library: TensorFunction, draw: TensorFunction) -> Make:
    return lambda rng: run_both(scratch, library, draw(rng, 10, 6))


def make_weight_decay(rng: Generator) -> Pair:
    """Compare gradient descent on loss plus penalty with torch's on the loss with its weight decay."""
    x, start, weight_decay = draw_normal(rng, 9, 4), draw_normal(rng, 4), draw_fraction(rng)
    scratch, library = start.clone(), start.clone().requires_grad_()
    optimizer = torch.optim.SGD([library], lr=0.1, weight_decay=weight_decay)
    for _ in range(20):
        w = scratch.clone().requires_grad_()
        (g,) = torch.autograd.grad((x @ w).tanh().mean() + l2_penalty(w, weight_decay=weight_decay), w)
        scratch = scratch - 0.1 * g
        optimizer.zero_grad()
        (x @ library).tanh().mean().backward()
        optimizer.step()
    return [scratch], [library]


def make_l1(rng: Generator) -> Pair:
    weight_decay = draw_fraction(rng)
    return run_both(
        lambda w: l1_penalty(w, weight_decay=weight_decay),
        lambda w: weight_decay * torch.linalg.vector_norm(w, ord=1),
        draw_wide(rng, 6, 5),
    )


OUTPUT, NAIVE = "output, gradient", "naive form: output, gradient"
CE, BCE = "torch.nn.functional.cross_entropy", "torch.nn.functional.binary_cross_entropy_with_logits"
CASES = [
    Case(
        "squared-loss",
        "torch.nn.functional.mse_loss, halved",
        OUTPUT,
        1e-14,
        regression_loss(squared_loss, half_mse_loss),
    ),
    Case("absolute-loss", "torch.nn.functional.l1_loss", OUTPUT, 0, regression_loss(absolute_loss, F.l1_loss)),
    Case("huber-loss", "torch.nn.functional.huber_loss", OUTPUT, 1e-14, make_huber),
    Case("softmax", "torch.softmax, of logits / temperature", OUTPUT, 1e-14, make_softmax),
    Case("softmax", "torch.softmax", NAIVE, 1e-14, over_last_axis(softmax_naive, torch.softmax, draw_normal)),
    Case("log-sum-exp", "torch.logsumexp", OUTPUT, 1e-12, over_last_axis(log_sum_exp, torch.logsumexp, draw_wide)),
    Case(
        "log-sum-exp",
        "torch.logsumexp",
        NAIVE,
        1e-14,
        over_last_axis(log_sum_exp_naive, torch.logsumexp, draw_normal),
    ),
    Case("cross-entropy", CE, OUTPUT, 1e-13, classification_loss(cross_entropy, draw_wide)),
    Case("cross-entropy", CE, NAIVE, 1e-13, classification_loss(cross_entropy_naive, draw_normal)),
    Case("binary-cross-entropy", BCE, OUTPUT, 1e-13, binary_loss(binary_cross_entropy, draw_wide)),
    Case("binary-cross-entropy", BCE, NAIVE, 1e-13, binary_loss(binary_cross_entropy_naive, draw_normal)),
    Case("relu", "torch.relu", OUTPUT, 0, activation(relu, torch.relu, draw_wide)),
    Case("sigmoid", "torch.sigmoid", OUTPUT, 1e-15, activation(sigmoid, torch.sigmoid, draw_wide)),
    Case("sigmoid", "torch.sigmoid", NAIVE, 1e-15, activation(sigmoid_naive, torch.sigmoid, draw_normal)),
    Case("tanh", "torch.tanh", OUTPUT, 1e-15, activation(tanh, torch.tanh, draw_wide)),
    Case("l2-penalty", "torch.optim.SGD(weight_decay=λ)", "trajectory of 20 updates", 1e-14, make_weight_decay),
    Case("l1-penalty", "λ torch.linalg.vector_norm(w, ord=1)", OUTPUT, 1e-14, make_l1),
]
