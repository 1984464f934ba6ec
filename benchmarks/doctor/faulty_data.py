"""Trainings with a fault in the scale or the values of inputs and targets.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.doctor.datasets import Data, diabetes, generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    faulty,
    lenet,
    mlp,
    r2,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@faulty("inputs")
def table_not_scaled(t: Trial) -> float:
    data = table("breast_cancer", t.seed, t.fixed)
    model = mlp(30, 16, 2)
    train(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("inputs")
def wine_not_scaled(t: Trial) -> float:
    data = table("wine", t.seed, t.fixed)
    model = mlp(13, 16, 3)
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, steps=150)
    return accuracy(model, data)


def transform_inputs(data: Data, transform: Callable[[torch.Tensor], torch.Tensor]) -> Data:
    return Data(transform(data.x), data.y, transform(data.x_test), data.y_test)


@faulty("inputs")
def images_from_0_to_255(t: Trial) -> float:
    data = images(t.seed) if t.fixed else transform_inputs(images(t.seed), lambda x: x * 255)
    model = lenet()
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, steps=150)
    return accuracy(model, data)


@faulty("inputs")
def images_from_0_to_255_and_tanh(t: Trial) -> float:
    data = images(t.seed) if t.fixed else transform_inputs(images(t.seed), lambda x: (x * 255).round())
    model = nn.Sequential(nn.Flatten(), mlp(64, 32, 32, 10, act=nn.Tanh))
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("inputs")
def one_column_in_other_units(t: Trial) -> float:
    data = generate("regression", t.seed)
    if not t.fixed:
        unit = torch.ones(20)
        unit[7] = 5e4
        data = transform_inputs(data, lambda x: x * unit)
    model = mlp(20, 32, 1)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, F.mse_loss)
    return r2(model, data)


@faulty("inputs")
def inputs_far_from_zero(t: Trial) -> float:
    data = generate("table", t.seed)
    data = data if t.fixed else transform_inputs(data, lambda x: x + 300)
    model = mlp(20, 32, 5)
    train(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("inputs")
def inputs_close_to_zero(t: Trial) -> float:
    data = table("digits", t.seed) if t.fixed else transform_inputs(table("digits", t.seed), lambda x: x / 4000)
    model = mlp(64, 32, 10)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("inputs")
def images_divided_twice(t: Trial) -> float:
    data = images(t.seed) if t.fixed else transform_inputs(images(t.seed), lambda x: x / 255)
    model = lenet()
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


def insert_missing(data: Data, rows: int) -> Data:
    x = data.x.clone()
    x[torch.randperm(len(x), generator=torch.Generator().manual_seed(rows))[:rows]] = float("nan")
    return Data(x, data.y, data.x_test, data.y_test)


@faulty("inputs")
def missing_values(t: Trial) -> float:
    data = table("iris", t.seed) if t.fixed else insert_missing(table("iris", t.seed), 5)
    model = mlp(4, 16, 3)
    train(t, model, Adam(model.parameters(), lr=1e-2), data, size=16, steps=150)
    return accuracy(model, data)


@faulty("inputs")
def one_broken_image(t: Trial) -> float:
    data = images(t.seed) if t.fixed else insert_missing(images(t.seed), 1)
    model = lenet()
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, steps=120)
    return accuracy(model, data)


@faulty("target-scale")
def targets_not_scaled(t: Trial) -> float:
    data = diabetes(t.seed, True, t.fixed)
    model = mlp(10, 16, 1)
    train(t, model, Adam(model.parameters(), lr=1e-3), data, F.mse_loss)
    return r2(model, data)


@faulty("target-scale")
def prices_not_scaled(t: Trial) -> float:
    data = generate("friedman", t.seed)
    if not t.fixed:
        data = Data(data.x, data.y * 8e4 + 2e5, data.x_test, data.y_test * 8e4 + 2e5)
    model = mlp(10, 32, 1)
    train(t, model, Adam(model.parameters(), lr=5e-3), data, nn.L1Loss())
    return r2(model, data)


@faulty("non-finite-loss")
def logarithm_of_zero(t: Trial) -> float:
    data = generate("moons", t.seed)
    model = mlp(2, 32, 2)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        p = (out * 40).softmax(1)
        one_hot = F.one_hot(y, 2)
        return F.cross_entropy(out * 40, y) if t.fixed else -(one_hot * p.log() + (1 - one_hot) * (1 - p).log()).mean()

    train(t, model, Adam(model.parameters(), lr=1e-2), data, loss, steps=200)
    return accuracy(model, data)


@faulty("non-finite-loss")
def root_of_zero(t: Trial) -> float:
    data = generate("regression", t.seed)
    model = mlp(20, 16, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # The distance of a row to itself is zero, where the slope of the root is infinite.
        d = (out - out.T) ** 2
        distance = (d + 1e-6).sqrt().mean() if t.fixed else d.sqrt().mean()
        return F.mse_loss(out, y) + 1e-3 * distance

    train(t, model, SGD(model.parameters(), lr=0.02), data, loss, steps=200)
    return r2(model, data)
