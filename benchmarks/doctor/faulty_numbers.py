"""Trainings with a fault in their numbers (inputs, targets, rates, initial weights, depth), with their twins.

They come in pairs of the same kind on other data: the odd ones are for development, the even ones are held out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from parts import Data, Trial, accuracy, agreement, batches, diabetes, faulty, images, lenet, made, mlp, photos, table
from parts import train as fit
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD
LONG = ("high-learning-rate", "non-finite-loss")
LARGE = ("exploding-gradients", "initial-loss")


# Rates


@faulty(*LONG)
def sgd_too_fast(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    fit(t, model, SGD(model.parameters(), lr=0.1 if t.fixed else 20.0), data)
    return accuracy(model, data)


@faulty(*LONG)
def momentum_too_fast(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    fit(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 3.0, momentum=0.9), data, steps=150)
    return accuracy(model, data)


@faulty(*LONG)
def adam_too_fast(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 10)
    fit(t, model, Adam(model.parameters(), lr=2e-3 if t.fixed else 0.5), data)
    return accuracy(model, data)


@faulty(*LONG)
def adam_too_fast_for_images(t: Trial) -> float:
    data = images(t.seed)
    model = lenet(act=nn.Tanh)
    fit(t, model, Adam(model.parameters(), lr=2e-3 if t.fixed else 0.3), data, steps=150)
    return accuracy(model, data)


@faulty(*LONG)
def regression_diverges(t: Trial) -> float:
    data = diabetes(t.seed)
    model = nn.Linear(10, 1)
    fit(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 1.0), data, F.mse_loss, steps=100)
    return agreement(model, data)


@faulty(*LONG)
def regression_network_diverges(t: Trial) -> float:
    data = made("friedman", t.seed)
    model = mlp(10, 32, 32, 1)
    fit(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 1.5, momentum=0.9), data, F.mse_loss)
    return agreement(model, data)


@faulty(*LONG)
def rmsprop_too_fast(t: Trial) -> float:
    data = made("table", t.seed)
    model = mlp(20, 32, 32, 32, 5)
    fit(t, model, torch.optim.RMSprop(model.parameters(), lr=3e-3 if t.fixed else 1.0), data)
    return accuracy(model, data)


@faulty(*LONG)
def adam_too_fast_in_a_deep_network(t: Trial) -> float:
    data = made("blobs", t.seed)
    model = mlp(20, 32, 32, 32, 6)
    fit(t, model, torch.optim.AdamW(model.parameters(), lr=3e-3 if t.fixed else 0.3), data)
    return accuracy(model, data)


@faulty("low-learning-rate")
def sgd_too_slow(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    fit(t, model, SGD(model.parameters(), lr=0.1 if t.fixed else 1e-4), data)
    return accuracy(model, data)


@faulty("low-learning-rate")
def momentum_too_slow(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    fit(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 1e-5, momentum=0.9), data, steps=150)
    return accuracy(model, data)


@faulty("low-learning-rate")
def adam_too_slow(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    fit(t, model, Adam(model.parameters(), lr=2e-3 if t.fixed else 1e-6), data, steps=150)
    return accuracy(model, data)


@faulty("low-learning-rate")
def adam_too_slow_for_a_table(t: Trial) -> float:
    data = made("table", t.seed)
    model = mlp(20, 32, 5)
    fit(t, model, Adam(model.parameters(), lr=5e-3 if t.fixed else 3e-6), data)
    return accuracy(model, data)


@faulty("low-learning-rate")
def regression_too_slow(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 32, 1)
    fit(t, model, SGD(model.parameters(), lr=0.05 if t.fixed else 1e-5), data, F.mse_loss)
    return agreement(model, data)


@faulty("low-learning-rate")
def regression_too_slow_with_adam(t: Trial) -> float:
    data = made("friedman", t.seed)
    model = mlp(10, 32, 1)
    fit(t, model, Adam(model.parameters(), lr=5e-3 if t.fixed else 1e-5), data, nn.HuberLoss())
    return agreement(model, data)


@faulty("low-learning-rate")
def the_schedule_steps_every_batch(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=150 if t.fixed else 2, gamma=0.1)
    fit(t, model, optimizer, data, schedule=schedule)
    return accuracy(model, data)


@faulty("low-learning-rate")
def the_decay_is_of_epochs(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.995 if t.fixed else 0.6)
    fit(t, model, optimizer, data, steps=150, schedule=schedule)
    return accuracy(model, data)


# Inputs and targets


@faulty("inputs")
def table_not_scaled(t: Trial) -> float:
    data = table("breast_cancer", t.seed, t.fixed)
    model = mlp(30, 16, 2)
    fit(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("inputs")
def wine_not_scaled(t: Trial) -> float:
    data = table("wine", t.seed, t.fixed)
    model = mlp(13, 16, 3)
    fit(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, steps=150)
    return accuracy(model, data)


def changed(data: Data, change: Callable[[torch.Tensor], torch.Tensor]) -> Data:
    return Data(change(data.x), data.y, change(data.x_test), data.y_test)


@faulty("inputs")
def images_from_0_to_255(t: Trial) -> float:
    data = images(t.seed) if t.fixed else changed(images(t.seed), lambda x: x * 255)
    model = lenet()
    fit(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, steps=150)
    return accuracy(model, data)


@faulty("inputs")
def images_from_0_to_255_and_tanh(t: Trial) -> float:
    data = images(t.seed) if t.fixed else changed(images(t.seed), lambda x: (x * 255).round())
    model = nn.Sequential(nn.Flatten(), mlp(64, 32, 32, 10, act=nn.Tanh))
    fit(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("inputs")
def one_column_in_other_units(t: Trial) -> float:
    data = made("regression", t.seed)
    if not t.fixed:
        unit = torch.ones(20)
        unit[7] = 5e4
        data = changed(data, lambda x: x * unit)
    model = mlp(20, 32, 1)
    fit(t, model, Adam(model.parameters(), lr=3e-3), data, F.mse_loss)
    return agreement(model, data)


@faulty("inputs")
def inputs_far_from_zero(t: Trial) -> float:
    data = made("table", t.seed)
    data = data if t.fixed else changed(data, lambda x: x + 300)
    model = mlp(20, 32, 5)
    fit(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("inputs")
def inputs_next_to_nothing(t: Trial) -> float:
    data = table("digits", t.seed) if t.fixed else changed(table("digits", t.seed), lambda x: x / 4000)
    model = mlp(64, 32, 10)
    fit(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("inputs")
def images_divided_twice(t: Trial) -> float:
    data = images(t.seed) if t.fixed else changed(images(t.seed), lambda x: x / 255)
    model = lenet()
    fit(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


def with_missing(data: Data, rows: int) -> Data:
    x = data.x.clone()
    x[torch.randperm(len(x), generator=torch.Generator().manual_seed(rows))[:rows]] = float("nan")
    return Data(x, data.y, data.x_test, data.y_test)


@faulty("inputs")
def missing_values(t: Trial) -> float:
    data = table("iris", t.seed) if t.fixed else with_missing(table("iris", t.seed), 5)
    model = mlp(4, 16, 3)
    fit(t, model, Adam(model.parameters(), lr=1e-2), data, size=16, steps=150)
    return accuracy(model, data)


@faulty("inputs")
def one_broken_image(t: Trial) -> float:
    data = images(t.seed) if t.fixed else with_missing(images(t.seed), 1)
    model = lenet()
    fit(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, steps=120)
    return accuracy(model, data)


@faulty("target-scale")
def targets_not_scaled(t: Trial) -> float:
    data = diabetes(t.seed, True, t.fixed)
    model = mlp(10, 16, 1)
    fit(t, model, Adam(model.parameters(), lr=1e-3), data, F.mse_loss)
    return agreement(model, data)


@faulty("target-scale")
def prices_not_scaled(t: Trial) -> float:
    data = made("friedman", t.seed)
    if not t.fixed:
        data = Data(data.x, data.y * 8e4 + 2e5, data.x_test, data.y_test * 8e4 + 2e5)
    model = mlp(10, 32, 1)
    fit(t, model, Adam(model.parameters(), lr=5e-3), data, nn.L1Loss())
    return agreement(model, data)


@faulty("non-finite-loss")
def logarithm_of_zero(t: Trial) -> float:
    data = made("moons", t.seed)
    model = mlp(2, 32, 2)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        p = (out * 40).softmax(1)
        wanted = F.one_hot(y, 2)
        return F.cross_entropy(out * 40, y) if t.fixed else -(wanted * p.log() + (1 - wanted) * (1 - p).log()).mean()

    fit(t, model, Adam(model.parameters(), lr=1e-2), data, loss, steps=200)
    return accuracy(model, data)


@faulty("non-finite-loss")
def root_of_zero(t: Trial) -> float:
    data = made("regression", t.seed)
    model = mlp(20, 16, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # A distance of each row to itself too: the root's slope is infinite there.
        d = (out - out.T) ** 2
        spread = (d + 1e-6).sqrt().mean() if t.fixed else d.sqrt().mean()
        return F.mse_loss(out, y) + 1e-3 * spread

    fit(t, model, SGD(model.parameters(), lr=0.02), data, loss, steps=200)
    return agreement(model, data)


# Depth, initial weights, activations


def drawn(model: nn.Module, std: float) -> nn.Module:
    for p in model.parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=std)
    return model


@faulty("vanishing-gradients", "low-learning-rate")
def deep_sigmoids(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, *[32] * 8, 10, act=nn.ReLU if t.fixed else nn.Sigmoid)
    if t.fixed:
        for p in model.parameters():
            if p.ndim > 1:
                nn.init.kaiming_normal_(p)
    fit(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("vanishing-gradients", "low-learning-rate")
def deep_sigmoids_with_adam(t: Trial) -> float:
    data = made("table", t.seed)
    layers: list[nn.Module] = [nn.Linear(20, 32)]
    for _ in range(9):
        layers += [nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32)] if t.fixed else [nn.Sigmoid(), nn.Linear(32, 32)]
    model = nn.Sequential(*layers, nn.ReLU() if t.fixed else nn.Sigmoid(), nn.Linear(32, 5))
    fit(t, model, Adam(model.parameters(), lr=1e-3), data)
    return accuracy(model, data)


@faulty("vanishing-gradients", "low-learning-rate")
def weights_too_small(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 32, 10, act=nn.Tanh)
    if not t.fixed:
        drawn(model, 0.005)
    fit(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("vanishing-gradients", "low-learning-rate")
def weights_too_small_for_relu(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    if not t.fixed:
        drawn(model, 1e-3)
    fit(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty(*LARGE)
def weights_too_large(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 64, 64, 10)
    if not t.fixed:
        drawn(model, 1.0)
    fit(t, model, Adam(model.parameters(), lr=1e-3), data, steps=200)
    return accuracy(model, data)


@faulty(*LARGE)
def weights_too_large_for_images(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    if not t.fixed:
        drawn(model, 1.0)
    fit(t, model, Adam(model.parameters(), lr=2e-3), data, steps=150)
    return accuracy(model, data)


@faulty(*LARGE, "saturated-activation")
def a_head_too_large(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10, act=nn.Tanh)
    if not t.fixed:
        nn.init.normal_(model[2].weight, std=10.0)
    fit(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@faulty(*LARGE)
def deep_and_too_large(t: Trial) -> float:
    data = made("blobs", t.seed)
    model = mlp(20, *[32] * 6, 6)
    if not t.fixed:
        drawn(model, 0.8)
    fit(t, model, Adam(model.parameters(), lr=1e-3), data)
    return accuracy(model, data)


@faulty("saturated-activation", "initial-loss")
def saturated_tanh(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 10, act=nn.Tanh)
    if not t.fixed:
        for layer in (model[0], model[2]):
            nn.init.normal_(layer.weight, std=8.0)
    fit(t, model, SGD(model.parameters(), lr=0.05), data)
    return accuracy(model, data)


@faulty("saturated-activation", "initial-loss")
def saturated_sigmoids(t: Trial) -> float:
    data = made("table", t.seed)
    model = mlp(20, 32, 32, 5, act=nn.Sigmoid)
    if not t.fixed:
        for layer in (model[0], model[2]):
            nn.init.normal_(layer.weight, std=0.5)
            nn.init.constant_(layer.bias, -12.0)
    fit(t, model, Adam(model.parameters(), lr=1e-2), data)
    return accuracy(model, data)


@faulty("dead-relu")
def dead_from_the_beginning(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 10)
    if not t.fixed:
        nn.init.constant_(model[2].bias, -20.0)
    fit(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("dead-relu")
def dead_functional_relus(t: Trial) -> float:
    data = images(t.seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.hidden, self.out = nn.Conv2d(1, 8, 3), nn.Linear(288, 32), nn.Linear(32, 10)
            if not t.fixed:
                nn.init.constant_(self.conv.bias, -10.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.conv(x)).flatten(1)
            return self.out(torch.tanh(self.hidden(x)))

    model = Net()
    fit(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("strong-decay")
def decay_eats_the_weights(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    fit(t, model, SGD(model.parameters(), lr=0.1, weight_decay=1e-4 if t.fixed else 1.0), data)
    return accuracy(model, data)


@faulty("strong-decay")
def decay_of_adamw_eats_the_weights(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    decay = 1e-2 if t.fixed else 30.0
    fit(t, model, torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=decay), data, steps=150)
    return accuracy(model, data)


@faulty(*LONG, data="fashion-mnist")
def clothes_too_fast(t: Trial) -> float:
    data = photos("fashion-mnist", t.seed)
    model = lenet(side=28)
    fit(t, model, Adam(model.parameters(), lr=2e-3 if t.fixed else 0.2), data, steps=100)
    return accuracy(model, data)


@faulty("inputs", data="cifar10")
def photos_from_0_to_255(t: Trial) -> float:
    data = photos("cifar10", t.seed)
    data = data if t.fixed else changed(data, lambda x: x * 255)
    model = lenet(channels=3, side=32)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 100, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)
