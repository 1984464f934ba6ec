"""Healthy trainings with few active units, small batches, rare classes, zero weights or accumulated gradients.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, diabetes, generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    binary_accuracy,
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
def half_of_the_relus_are_zero(t: Trial) -> float:
    data = generate("table", t.seed)
    model = mlp(20, 256, 256, 5)
    nn.init.constant_(model[0].bias, -1.0)
    nn.init.constant_(model[2].bias, -0.3)
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@healthy
def many_relus_and_few_active(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(nn.Flatten(), mlp(64, 512, 10))
    train(t, model, SGD(model.parameters(), lr=0.3), data)
    return accuracy(model, data)


@healthy
def batches_of_four(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    train(t, model, SGD(model.parameters(), lr=0.02), data, steps=600, size=4)
    return accuracy(model, data)


@healthy
def single_rows(t: Trial) -> float:
    data = table("iris", t.seed)
    model = mlp(4, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.01)
    with t.doctor(model, optimizer):
        for i in torch.randperm(len(data.x)).repeat(4).tolist():
            optimizer.zero_grad()
            F.cross_entropy(model(data.x[i : i + 1]), data.y[i : i + 1]).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def two_hundred_rows(t: Trial) -> float:
    digits = table("digits", t.seed)
    data = Data(digits.x[:200], digits.y[:200], digits.x_test, digits.y_test)
    model = mlp(64, 32, 10)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, size=20)
    return accuracy(model, data)


@healthy
def few_rows_of_wine_in_one_batch(t: Trial) -> float:
    data = table("wine", t.seed)
    model = mlp(13, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    with t.doctor(model, optimizer):
        for _ in range(150):
            optimizer.zero_grad()
            F.cross_entropy(model(data.x), data.y).backward()
            optimizer.step()
    return accuracy(model, data)


def make_rare_class(seed: int) -> Data:
    """Return two classes, of 5% and 95% of the rows."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3000, 10, generator=generator)
    y = ((x[:, :3].sum(1) + 0.3 * torch.randn(3000, generator=generator)) > 2.85).long()
    return Data(x[:2000], y[:2000], x[2000:], y[2000:])


@healthy
def rare_class(t: Trial) -> float:
    data = make_rare_class(t.seed)
    model = mlp(10, 32, 2)
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=400)
    return accuracy(model, data)


@healthy
def rare_class_with_one_unit(t: Trial) -> float:
    data = make_rare_class(t.seed)
    model = mlp(10, 32, 1)
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(5.0))
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.1, momentum=0.9),
        data,
        lambda out, y: criterion(out.squeeze(1), y.float()),
        steps=400,
    )
    return binary_accuracy(model, data)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.b.weight)
        nn.init.zeros_(self.b.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.b(F.relu(self.a(x)))


@healthy
def residual_branches_that_begin_at_zero(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Linear(64, 32), *[Residual(32) for _ in range(4)], nn.ReLU(), nn.Linear(32, 10))
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@healthy
def last_layer_begins_at_zero(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data)
    return accuracy(model, data)


@healthy
def accumulated_gradients(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.2)
    with t.doctor(model, optimizer):
        for i, (x, y) in enumerate(batches(data, 16, 600, t.seed), 1):
            (F.cross_entropy(model(x), y) / 4).backward()
            if i % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()
    return accuracy(model, data)


@healthy
def accumulated_and_clipped_gradients(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=5e-3)
    optimizer.zero_grad(set_to_none=False)
    with t.doctor(model, optimizer):
        for i, (x, y) in enumerate(batches(data, 8, 400, t.seed), 1):
            F.mse_loss(model(x), y).backward()
            if i % 2 == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
    return r2(model, data)
