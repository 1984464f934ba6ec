"""Healthy trainings that look suspicious: schedules, plateaus, dropout, unscaled targets.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, diabetes, generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    healthy,
    lenet,
    mlp,
    r2,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@healthy
def plain_digits(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@healthy
def plain_images(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@healthy
def spikes_of_the_warm_up(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 64, 10)
    optimizer = SGD(model.parameters(), lr=0.25, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 20) * (1.0 if step < 40 else 0.05)
    )
    train(t, model, optimizer, data, schedule=schedule)
    return accuracy(model, data)


@healthy
def one_cycle(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.08, total_steps=250)
    train(t, model, optimizer, data, schedule=schedule)
    return accuracy(model, data)


@healthy
def cosine_with_restarts(t: Trial) -> float:
    data = generate("table", t.seed)
    model = mlp(20, 64, 5)
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=50, T_mult=2)
    train(t, model, optimizer, data, steps=350, schedule=schedule)
    return accuracy(model, data)


@healthy
def cosine_to_zero(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 16, 1)
    optimizer = SGD(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=300)
    train(t, model, optimizer, data, F.mse_loss, steps=300, schedule=schedule)
    return r2(model, data)


@healthy
def long_plateau_of_a_sigmoid_lenet(t: Trial) -> float:
    data = images(t.seed)
    model = lenet(act=nn.Sigmoid)
    for p in model.parameters():
        if p.ndim > 1:
            nn.init.xavier_uniform_(p)
    train(t, model, Adam(model.parameters(), lr=2e-3), data, steps=700)
    return accuracy(model, data)


@healthy
def plateau_of_sigmoids_with_adam(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 32, 10, act=nn.Sigmoid)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=400)
    return accuracy(model, data)


@healthy
def strong_dropout(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Dropout(0.2), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    optimizer = Adam(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer):
        for epoch in range(6):
            model.train()
            for x, y in batches(data, 32, 40, t.seed + epoch):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(data.x_test), data.y_test)
    return accuracy(model, data)


@healthy
def dropout_and_batch_norm_in_an_image_network(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(288, 10)
    )
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    with t.doctor(model, optimizer):
        for epoch in range(4):
            model.train()
            for x, y in batches(data, 32, 39, t.seed + epoch):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x in data.x_test.split(100):
                    model(x)
    return accuracy(model, data)


@healthy
def smoothed_labels(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, nn.CrossEntropyLoss(label_smoothing=0.2))
    return accuracy(model, data)


@healthy
def mixup(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 64, 250, t.seed):
            fraction, rows = float(torch.rand(())), torch.randperm(len(x))
            soft = F.one_hot(y, 10).float()
            optimizer.zero_grad()
            out = model(fraction * x + (1 - fraction) * x[rows])
            F.cross_entropy(out, fraction * soft + (1 - fraction) * soft[rows]).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def raw_targets_and_huge_gradients(t: Trial) -> float:
    data = diabetes(t.seed, True, False)
    model = mlp(10, 32, 1)
    train(t, model, Adam(model.parameters(), lr=0.1), data, F.mse_loss, steps=300)
    return r2(model, data)


@healthy
def raw_targets_of_a_line(t: Trial) -> float:
    unscaled = generate("regression", t.seed)
    data = Data(unscaled.x, unscaled.y * 200 + 1000, unscaled.x_test, unscaled.y_test * 200 + 1000)
    model = nn.Linear(20, 1)
    train(t, model, SGD(model.parameters(), lr=0.02), data, lambda out, y: ((out - y) ** 2).mean(), steps=300)
    return r2(model, data)
