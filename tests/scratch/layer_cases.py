"""Equivalence of from-scratch layers and of their initialization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from tests.scratch.case import Case, Pair, run_both
from tests.scratch.random_inputs import draw_fraction, draw_int, draw_normal
from yisheng.scratch.average_pooling import average_pooling
from yisheng.scratch.batch_norm import batch_norm
from yisheng.scratch.convolution_1x1 import convolution_1x1
from yisheng.scratch.cross_correlation import cross_correlation, cross_correlation_by_loops
from yisheng.scratch.dropout import dropout
from yisheng.scratch.kaiming import kaiming, kaiming_normal
from yisheng.scratch.max_pooling import max_pooling
from yisheng.scratch.padding import padding
from yisheng.scratch.residual_block import residual_block
from yisheng.scratch.xavier import xavier, xavier_normal

Make = Callable[[Generator], Pair]
BATCH_NORM = "torch.nn.functional.batch_norm"


def make_padding(rng: Generator) -> Pair:
    n = draw_int(rng, 0, 3)
    x = draw_normal(rng, 2, 3, 5, 4)
    return run_both(lambda x: padding(x, n, value=2.5), lambda x: F.pad(x, (n,) * 4, value=2.5), x)


def make_cross_correlation(rng: Generator) -> Pair:
    stride, size = draw_int(rng, 1, 3), draw_int(rng, 0, 2)
    w = draw_normal(rng, 4, 3, draw_int(rng, 1, 5), draw_int(rng, 1, 5))
    return run_both(
        lambda x, w, b: cross_correlation(x, w, b, stride=stride, padding=size),
        lambda x, w, b: F.conv2d(x, w, b, stride=stride, padding=size),
        draw_normal(rng, 2, 3, draw_int(rng, 5, 9), draw_int(rng, 5, 9)),
        w,
        draw_normal(rng, 4),
    )


def make_loops(rng: Generator) -> Pair:
    return run_both(
        cross_correlation_by_loops,
        lambda x, w: F.conv2d(x[None, None], w[None, None])[0, 0],
        draw_normal(rng, 6, 5),
        draw_normal(rng, draw_int(rng, 1, 3), draw_int(rng, 1, 3)),
    )


def make_convolution_1x1(rng: Generator) -> Pair:
    return run_both(
        convolution_1x1,
        lambda x, w, b: F.conv2d(x, w[:, :, None, None], b),
        draw_normal(rng, 2, 3, 5, 4),
        draw_normal(rng, 6, 3),
        draw_normal(rng, 6),
    )


def pooling(scratch: Callable[..., Tensor], library: Callable[..., Tensor]) -> Make:
    def make(rng: Generator) -> Pair:
        size = draw_int(rng, 1, 3)
        stride, edge = draw_int(rng, 1, 3), draw_int(rng, 0, size // 2)
        x = draw_normal(rng, 2, 3, draw_int(rng, 3, 9), draw_int(rng, 3, 9))
        x = x.round() if draw_int(rng, 0, 1) else x  # rounded numbers have ties
        values, expected = run_both(
            lambda x: scratch(x, size, stride=stride, padding=edge),
            lambda x: library(x, size, stride=stride, padding=edge),
            x,
        )
        return [*values, scratch(x, size)], [*expected, library(x, size)]

    return make


def batch_normalization(training: bool, *size: int) -> Make:
    """Return a case of three consecutive batches, so that the averages continue from their values."""

    def make(rng: Generator) -> Pair:
        x, gamma, beta = draw_normal(rng, 3, 6, 4, *size), draw_normal(rng, 4), draw_normal(rng, 4)
        mean, var = draw_normal(rng, 4), draw_normal(rng, 4).square()

        def scratch(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
            averages, outputs = (mean, var), []
            for batch in x:
                y, *averages = batch_norm(batch, gamma, beta, *averages, training=training, momentum=0.3)
                outputs.append(y)
            return (*outputs, *averages)

        def library(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
            averages = mean.clone(), var.clone()
            outputs = [F.batch_norm(batch, *averages, gamma, beta, training, 0.3) for batch in x]
            return (*outputs, *averages)

        return run_both(scratch, library, x, gamma, beta)

    return make


def make_residual_block(rng: Generator) -> Pair:
    stride = draw_int(rng, 1, 2)
    has_shortcut = stride == 2
    out = 5 if has_shortcut else 3
    shapes = [(out, 3, 3, 3), (out, out, 3, 3), (out, 3, 1, 1)][: 2 + has_shortcut]
    layers = [p for shape in shapes for p in (draw_normal(rng, *shape), draw_normal(rng, out), draw_normal(rng, out))]

    def scratch(x: Tensor, *p: Tensor) -> Tensor:
        return residual_block(x, p[:3], p[3:6], p[6:] or None, stride=stride)

    def library(x: Tensor, *p: Tensor) -> Tensor:
        y = F.relu(F.batch_norm(F.conv2d(x, p[0], stride=stride, padding=1), None, None, p[1], p[2], True))
        y = F.batch_norm(F.conv2d(y, p[3], padding=1), None, None, p[4], p[5], True)
        if has_shortcut:
            x = F.batch_norm(F.conv2d(x, p[6], stride=stride), None, None, p[7], p[8], True)
        return F.relu(x + y)

    return run_both(scratch, library, draw_normal(rng, 4, 3, 6, 6), *layers)


def make_dropout(rng: Generator) -> Pair:
    """Use the same seed; the from-scratch form draws from a separate generator."""
    seed, p = draw_int(rng, 0, 10**6), draw_fraction(rng)

    def library(x: Tensor) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return F.dropout(x, p, training=True)

    return run_both(
        lambda x: dropout(x, p=p, generator=torch.Generator().manual_seed(seed)),
        library,
        draw_normal(rng, draw_int(rng, 1, 90), 7),
    )


def initialization(scratch: Callable[..., Tensor], library: Callable[..., Any]) -> Make:
    """Return a case of the weights of a linear layer and of a convolution, from the same seed."""

    def make(rng: Generator) -> Pair:
        seed = draw_int(rng, 0, 10**6)
        weights = [torch.empty(shape, dtype=torch.float64) for shape in ((30, 20), (4, 3, 5, 5))]
        values = [scratch(w, generator=torch.Generator().manual_seed(seed)) for w in weights]
        return values, [library(w, generator=torch.Generator().manual_seed(seed)) for w in weights]

    return make


LAYER = "output, gradients"
TRAINING, EVALUATION = ("training", True, "output, moving averages, gradients"), ("evaluation", False, LAYER)
CASES = [
    Case("padding", "torch.nn.functional.pad", LAYER, 0, make_padding),
    Case("cross-correlation", "torch.nn.functional.conv2d", LAYER, 1e-13, make_cross_correlation),
    Case("cross-correlation", "torch.nn.functional.conv2d, one channel, by loops", LAYER, 1e-13, make_loops),
    Case("convolution-1x1", "torch.nn.functional.conv2d", LAYER, 1e-13, make_convolution_1x1),
    Case("max-pooling", "torch.nn.functional.max_pool2d", LAYER, 1e-15, pooling(max_pooling, F.max_pool2d)),
    Case("average-pooling", "torch.nn.functional.avg_pool2d", LAYER, 1e-14, pooling(average_pooling, F.avg_pool2d)),
    *[
        Case("batch-norm", f"{BATCH_NORM}, {part}, {shape}", compared, 1e-12, batch_normalization(training, *size))
        for part, training, compared in (TRAINING, EVALUATION)
        for shape, size in (("rows", ()), ("images", (3, 2)))
    ],
    Case("residual-block", "conv2d, batch_norm, relu of torch.nn.functional", LAYER, 1e-12, make_residual_block),
    Case("dropout", "torch.nn.functional.dropout, same seed", "output, gradient", 0, make_dropout),
    *[
        Case(name, f"torch.nn.init.{library.__name__}, same seed", "weights", 1e-15, initialization(scratch, library))
        for name, scratch, library in (
            ("xavier", xavier, nn.init.xavier_uniform_),
            ("xavier", xavier_normal, nn.init.xavier_normal_),
            ("kaiming", kaiming, nn.init.kaiming_uniform_),
            ("kaiming", kaiming_normal, nn.init.kaiming_normal_),
        )
    ],
]
