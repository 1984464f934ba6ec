"""Trainings with a fault in the loop: gradients, updates, modes, order of the rows.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    faulty,
    lenet,
    mlp,
    r2,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@faulty("carried-gradients")
def no_zero_grad(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            if t.fixed:
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)


@faulty("carried-gradients")
def no_zero_grad_with_adam(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    optimizer = Adam(model.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 150, t.seed):
            if t.fixed:
                optimizer.zero_grad(set_to_none=False)
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
    return accuracy(model, data)


@faulty("carried-gradients")
def zero_grad_once_an_epoch(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 16, 1)
    optimizer = SGD(model.parameters(), lr=0.2)
    with t.doctor(model, optimizer):
        for epoch in range(12):
            optimizer.zero_grad()
            for x, y in batches(data, 32, 18, t.seed + 100 * epoch):
                if t.fixed:
                    optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
    return r2(model, data)


@faulty("carried-gradients")
def zero_grad_of_the_wrong_optimizer(t: Trial) -> float:
    data = table("wine", t.seed)
    model = mlp(13, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    unrelated = SGD(mlp(2, 2, 2).parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 16, 100, t.seed):
            (optimizer if t.fixed else unrelated).zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)


@faulty("missing-update")
def no_step(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 100, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            if t.fixed:
                optimizer.step()
    return accuracy(model, data)


@faulty("missing-update")
def the_schedule_steps_but_not_the_optimizer(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 150, t.seed):
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            if t.fixed:
                optimizer.step()
    return r2(model, data)


class BatchNormNet(nn.Module):
    def __init__(self, columns: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(columns, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


@faulty("mode")
def evaluated_with_dropout(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.6), nn.Linear(64, 10))
    optimizer = SGD(model.parameters(), lr=0.1)
    correct = 0.0
    with t.doctor(model, optimizer):
        for epoch in range(5):
            model.train()
            for x, y in batches(data, 32, 40, t.seed + epoch):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            if t.fixed:
                model.eval()
            with torch.no_grad():
                correct = float((model(data.x_test).argmax(1) == data.y_test).float().mean())
    return correct


@faulty("mode")
def evaluated_in_small_batches_with_batch_norm(t: Trial) -> float:
    data = generate("table", t.seed)
    model = BatchNormNet(20, 5)
    optimizer = Adam(model.parameters(), lr=5e-3)
    correct = 0.0
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if t.fixed:
            model.eval()
        with torch.no_grad():
            for x, y in zip(data.x_test.split(2), data.y_test.split(2), strict=True):
                correct += float((model(x).argmax(1) == y).sum())
    return correct / len(data.y_test)


@faulty("mode")
def trained_in_evaluation_mode(t: Trial) -> float:
    data = table("digits", t.seed, False)
    layers = [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    optimizer = SGD(model.parameters(), lr=0.05)
    model.train(t.fixed)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 60, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)


@faulty("mode")
def never_back_in_training_mode(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Tanh(), nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.Tanh()
    )
    model = nn.Sequential(model, nn.Flatten(), nn.Linear(256, 10))
    optimizer = SGD(model.parameters(), lr=0.02)
    with t.doctor(model, optimizer):
        for epoch in range(4):
            for x, y in batches(data, 32, 30, t.seed + epoch):
                if t.fixed:
                    model.train()
                elif epoch == 0:
                    model.eval()
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                model(data.x_test)
    return accuracy(model, data)


@faulty("sorted-batches")
def rows_in_the_order_of_their_classes(t: Trial) -> float:
    data = table("digits", t.seed)
    order = data.y.argsort(stable=True)
    rows = torch.utils.data.TensorDataset(data.x[order], data.y[order])
    loader = torch.utils.data.DataLoader(rows, batch_size=32, shuffle=t.fixed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for _ in range(5):
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    return accuracy(model, data)


@faulty("sorted-batches")
def images_class_by_class(t: Trial) -> float:
    data = images(t.seed)
    order = data.y.argsort(stable=True)
    model = lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    with t.doctor(model, optimizer):
        for epoch in range(4):
            torch.manual_seed(t.seed + epoch)
            rows = torch.randperm(len(order)) if t.fixed else order
            for batch in rows.split(32):
                optimizer.zero_grad()
                F.cross_entropy(model(data.x[batch]), data.y[batch]).backward()
                optimizer.step()
    return accuracy(model, data)
