"""Healthy trainings whose rates, penalties and averages look suspicious."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.fresh.loop import TwoConvs, negative_log_loss, train_epochs, tree_score
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound, r2
from benchmarks.doctor.unseen.loop import ConvNet, Net, digits, generator, loader, split
from sklearn.linear_model import Ridge
from torch import nn
from torch.nn import functional as F

Adam, AdamW, SGD = torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD


@healthy_with_bound(lambda seed: tree_score(images(seed)))
def fresh_warm_up_of_half_the_training(t: Trial) -> float:
    """The rate rises over 160 of 400 steps, and falls to nothing."""
    data, net = images(t.seed), TwoConvs(norm=True)
    optimizer = AdamW(net.parameters(), lr=8e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 160, max(0.0, (400 - step) / 240))
    )
    train_epochs(t, net, optimizer, data, epochs=10, after_step=schedule.step)
    return accuracy(net, data)


@healthy_with_bound(lambda seed: tree_score(digits(seed)))
def fresh_dropout_of_seven_tenths(t: Trial) -> float:
    """A wide network that needs its dropout: the training loss stays far above that of validation."""
    data = digits(t.seed)
    net = Net(64, 10, hidden=400, dropout=0.7)
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=12)
    return accuracy(net, data)


def wide_line(seed: int) -> Data:
    """Return 120 noisy rows of 100 columns, and held-out ones; each column has a little of the target."""
    g = generator(seed)
    x = torch.randn(520, 100, generator=g)
    y = x @ torch.randn(100, 1, generator=g) / 10 + 0.7 * torch.randn(520, 1, generator=g)
    return split(x, y, 120)


def ridge_score(seed: int) -> float:
    """Return the R² of a ridge regression with the best penalty for this data, minus 0.03."""
    data = wide_line(seed)
    parts = [part.numpy() for part in (data.x, data.y, data.x_test, data.y_test)]
    return float(Ridge(50.0).fit(*parts[:2]).score(*parts[2:])) - 0.03


@healthy_with_bound(ridge_score)
def fresh_strong_decay_that_helps(t: Trial) -> float:
    """A penalty of 0.8 on a line with nearly as many columns as rows, as ridge regression has it."""
    data, net = wide_line(t.seed), nn.Linear(100, 1)
    train_epochs(
        t, net, SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=0.8), data, F.mse_loss, epochs=40, size=60
    )  # fmt: skip
    return r2(net, data)


@healthy_with_bound(lambda seed: tree_score(images(seed)))
def fresh_smoothed_and_mixed(t: Trial) -> float:
    """Label smoothing together with mixed images: the training loss cannot fall below 1."""
    data, net = images(t.seed), ConvNet(norm=True)
    optimizer = Adam(net.parameters(), lr=4e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(10):
            net.train()
            for x, y in loader(data):
                order, part = torch.randperm(len(x)), float(torch.distributions.Beta(0.6, 0.6).sample())
                optimizer.zero_grad()
                out = net(part * x + (1 - part) * x[order])
                first, second = (F.cross_entropy(out, goal, label_smoothing=0.1) for goal in (y, y[order]))
                (part * first + (1 - part) * second).backward()
                optimizer.step()
            dr.validation(loss=-negative_log_loss(net, data), score=accuracy(net, data))
    return accuracy(net, data)


@healthy_with_bound(lambda seed: tree_score(images(seed)))
def fresh_average_evaluated(t: Trial) -> float:
    """Only the average of the weights, with its statistics, is evaluated; the network itself is noisy."""
    data, net = images(t.seed), TwoConvs(norm=True)
    average = copy.deepcopy(net).eval()
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(8):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 2.0)
                optimizer.step()
                with torch.no_grad():
                    for a, p in zip(average.parameters(), net.parameters(), strict=True):
                        a.lerp_(p, 0.04)
                    for a, p in zip(average.buffers(), net.buffers(), strict=True):
                        a.copy_(a + 0.04 * (p - a) if a.is_floating_point() else p)
            dr.validation(loss=-negative_log_loss(average, data), score=100 * accuracy(average, data))
    return accuracy(average, data)


@healthy_with_bound(lambda seed: tree_score(images(seed)))
def fresh_cyclic_rates(t: Trial) -> float:
    """Triangles between 0.002 and 0.1 in each epoch."""
    data, net = images(t.seed), ConvNet()
    optimizer = SGD(net.parameters(), lr=0.002, momentum=0.85)
    schedule = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.002, 0.1, step_size_up=20, cycle_momentum=False)
    train_epochs(t, net, optimizer, data, epochs=10, after_step=schedule.step)
    return accuracy(net, data)
