"""Faulty trainings on data sets that must be downloaded."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, photos
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    faulty,
    lenet,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD
LONG = ("high-learning-rate", "non-finite-loss")


@faulty("loss-pairing", dataset="fashion-mnist")
def softmax_before_cross_entropy_of_fashion(t: Trial) -> float:
    data = photos("fashion-mnist", t.seed)
    model = lenet(side=28)
    if not t.fixed:
        model.append(nn.Softmax(1))
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, steps=100)
    return accuracy(model, data)


@faulty("uncovered-parameters", dataset="cifar10")
def old_optimizer_of_photos(t: Trial) -> float:
    data = photos("cifar10", t.seed)
    model = lenet(channels=3, side=32)
    optimizer = Adam(model.parameters(), lr=2e-3)
    if not t.fixed:
        model = lenet(channels=3, side=32)
    train(t, model, optimizer, data, steps=100)
    return accuracy(model, data)


@faulty(*LONG, dataset="fashion-mnist")
def fashion_too_fast(t: Trial) -> float:
    data = photos("fashion-mnist", t.seed)
    model = lenet(side=28)
    train(t, model, Adam(model.parameters(), lr=2e-3 if t.fixed else 0.2), data, steps=100)
    return accuracy(model, data)


@faulty("inputs", dataset="cifar10")
def photos_from_0_to_255(t: Trial) -> float:
    data = photos("cifar10", t.seed)
    data = data if t.fixed else Data(255 * data.x, data.y, 255 * data.x_test, data.y_test)
    model = lenet(channels=3, side=32)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 100, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)
