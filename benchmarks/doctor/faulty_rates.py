"""Trainings with a wrong learning rate.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import diabetes, generate, images, table
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
LONG = ("high-learning-rate", "non-finite-loss")


@faulty(*LONG)
def sgd_too_fast(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    train(t, model, SGD(model.parameters(), lr=0.1 if t.fixed else 20.0), data)
    return accuracy(model, data)


@faulty(*LONG)
def momentum_too_fast(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    train(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 3.0, momentum=0.9), data, steps=150)
    return accuracy(model, data)


@faulty(*LONG)
def adam_too_fast(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 10)
    train(t, model, Adam(model.parameters(), lr=2e-3 if t.fixed else 0.5), data)
    return accuracy(model, data)


@faulty(*LONG)
def adam_too_fast_for_images(t: Trial) -> float:
    data = images(t.seed)
    model = lenet(act=nn.Tanh)
    train(t, model, Adam(model.parameters(), lr=2e-3 if t.fixed else 0.3), data, steps=150)
    return accuracy(model, data)


@faulty(*LONG)
def regression_diverges(t: Trial) -> float:
    data = diabetes(t.seed)
    model = nn.Linear(10, 1)
    train(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 1.0), data, F.mse_loss, steps=100)
    return r2(model, data)


@faulty(*LONG)
def regression_network_diverges(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 32, 1)
    train(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 1.5, momentum=0.9), data, F.mse_loss)
    return r2(model, data)


@faulty(*LONG)
def rmsprop_too_fast(t: Trial) -> float:
    data = generate("table", t.seed)
    model = mlp(20, 32, 32, 32, 5)
    train(t, model, torch.optim.RMSprop(model.parameters(), lr=3e-3 if t.fixed else 1.0), data)
    return accuracy(model, data)


@faulty(*LONG)
def adam_too_fast_in_a_deep_network(t: Trial) -> float:
    data = generate("blobs", t.seed)
    model = mlp(20, 32, 32, 32, 6)
    train(t, model, torch.optim.AdamW(model.parameters(), lr=3e-3 if t.fixed else 0.3), data)
    return accuracy(model, data)


@faulty("low-learning-rate")
def sgd_too_slow(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    train(t, model, SGD(model.parameters(), lr=0.1 if t.fixed else 1e-4), data)
    return accuracy(model, data)


@faulty("low-learning-rate")
def momentum_too_slow(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    train(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 1e-5, momentum=0.9), data, steps=150)
    return accuracy(model, data)


@faulty("low-learning-rate")
def adam_too_slow(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    train(t, model, Adam(model.parameters(), lr=2e-3 if t.fixed else 1e-6), data, steps=150)
    return accuracy(model, data)


@faulty("low-learning-rate")
def adam_too_slow_for_a_table(t: Trial) -> float:
    data = generate("table", t.seed)
    model = mlp(20, 32, 5)
    train(t, model, Adam(model.parameters(), lr=5e-3 if t.fixed else 3e-6), data)
    return accuracy(model, data)


@faulty("low-learning-rate")
def regression_too_slow(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 32, 1)
    train(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 1e-5), data, F.mse_loss)
    return r2(model, data)


@faulty("low-learning-rate")
def regression_too_slow_with_adam(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 1)
    train(t, model, Adam(model.parameters(), lr=5e-3 if t.fixed else 1e-5), data, nn.HuberLoss())
    return r2(model, data)


@faulty("low-learning-rate")
def the_schedule_steps_every_batch(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=150 if t.fixed else 2, gamma=0.1)
    train(t, model, optimizer, data, schedule=schedule)
    return accuracy(model, data)


@faulty("low-learning-rate")
def the_decay_is_meant_for_epochs(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.995 if t.fixed else 0.6)
    train(t, model, optimizer, data, steps=150, schedule=schedule)
    return accuracy(model, data)
