"""Trainings written together with the checks of oscillation, batch norm over few rows, and 16 bits."""

from __future__ import annotations

import itertools

import torch
from benchmarks.doctor.datasets import Data, generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    faulty,
    healthy,
    mlp,
    r2,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


def train_full_batch(
    t: Trial, model: nn.Module, optimizer: torch.optim.Optimizer, data: Data, loss, steps: int = 200
) -> None:
    """Train on all rows in each step."""
    with t.doctor(model, optimizer):
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(data.x), data.y).backward()
            optimizer.step()


# Oscillation


@faulty("oscillation", "high-learning-rate")
def latest_absolute_error_oscillates(t: Trial) -> float:
    data = generate("regression", t.seed)
    model = nn.Linear(20, 1)
    train_full_batch(t, model, SGD(model.parameters(), lr=0.03 if t.fixed else 0.3), data, F.l1_loss)
    return r2(model, data)


@faulty("oscillation", "high-learning-rate")
def latest_adam_with_a_short_memory(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005 if t.fixed else 0.2, betas=(0.5, 0.9))
    train_full_batch(t, model, optimizer, data, F.mse_loss, steps=300)
    return r2(model, data)


@healthy
def latest_two_batches_in_a_fixed_order(t: Trial) -> float:
    data = generate("regression", t.seed)
    y = data.y + torch.randn(data.y.shape, generator=torch.Generator().manual_seed(t.seed))
    y[: len(y) // 2] *= 2
    model = nn.Linear(20, 1)
    optimizer = SGD(model.parameters(), lr=0.05)
    with t.doctor(model, optimizer):
        for _ in range(150):
            for x, target in zip(data.x.chunk(2), y.chunk(2), strict=True):
                optimizer.zero_grad()
                F.mse_loss(model(x), target).backward()
                optimizer.step()
    return r2(model, data)


@healthy
def latest_alternating_sources(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.05)
    noise = torch.Generator().manual_seed(t.seed)
    with t.doctor(model, optimizer):
        for step, (x, y) in enumerate(batches(data, 64, 300, t.seed)):
            label_noise = 0.7 * torch.randn(y.shape, generator=noise) if step % 2 else torch.zeros(y.shape)
            optimizer.zero_grad()
            F.mse_loss(model(x + step % 2), y + label_noise).backward()
            optimizer.step()
    return r2(model, data)


@healthy
def latest_triangular_schedule(t: Trial) -> float:
    data = generate("table", t.seed)
    model = mlp(20, 64, 5)
    optimizer = SGD(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.01, 0.4, step_size_up=10)
    train(t, model, optimizer, data, steps=300, schedule=schedule)
    return accuracy(model, data)


@healthy
def latest_the_edge_of_stability(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 1, act=nn.Tanh)
    train_full_batch(t, model, SGD(model.parameters(), lr=0.2, momentum=0.9), data, F.mse_loss)
    return r2(model, data)


# Batch norm


@faulty("small-batch-norm")
def latest_batch_norm_of_two_rows(t: Trial) -> float:
    data = table("digits", t.seed)
    norm = nn.LayerNorm(32) if t.fixed else nn.BatchNorm1d(32)
    model = nn.Sequential(nn.Linear(64, 32), norm, nn.ReLU(), nn.Linear(32, 10))
    train(t, model, SGD(model.parameters(), lr=0.02), data, steps=600, size=2)
    return accuracy(model, data)


@faulty("small-batch-norm")
def latest_batch_norm_after_pooling(t: Trial) -> float:
    data = images(t.seed)

    model = nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(32) if t.fixed else nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )
    train(t, model, SGD(model.parameters(), lr=0.005, momentum=0.9), data, steps=600, size=2)
    return accuracy(model, data)


@healthy
def latest_batch_norm_of_four_images(t: Trial) -> float:
    data = images(t.seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )
    train(t, model, SGD(model.parameters(), lr=0.02), data, steps=500, size=4)
    return accuracy(model, data)


@healthy
def latest_batch_norm_of_eight_rows(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    train(t, model, SGD(model.parameters(), lr=0.05), data, steps=400, size=8)
    return accuracy(model, data)


# 16 bits


def train_in_float16(t: Trial, data: Data, weight: float, scaled: bool, steps: int = 60) -> float:
    """Train in float16 by autocast; the loss has a weight, as if it were one of several."""
    model = mlp(64, 32, 32, 10, act=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=5e-3)
    scaler = torch.amp.GradScaler("cpu", enabled=scaled, init_scale=2.0**16)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 128, steps, t.seed):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.float16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(weight * loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return accuracy(model, data)


@faulty("half-precision")
def latest_float16_without_a_scale(t: Trial) -> float:
    return train_in_float16(t, table("digits", t.seed), 1e-5, t.fixed)


@faulty("half-precision")
def latest_weights_in_bfloat16(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10)
    size = torch.float32 if t.fixed else torch.bfloat16
    model = model.to(size)
    optimizer = SGD(model.parameters(), lr=0.003)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 250, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x.to(size)).float(), y).backward()
            optimizer.step()
    return accuracy(model.float(), data)


@healthy
def latest_float16_with_a_scale(t: Trial) -> float:
    return train_in_float16(t, table("digits", t.seed), 1e-2, True)


@healthy
def latest_float16_of_a_plain_loss(t: Trial) -> float:
    return train_in_float16(t, table("digits", t.seed), 1.0, False)


@healthy
def latest_learning_weights_in_bfloat16(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10).bfloat16()
    optimizer = Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 250, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x.bfloat16()).float(), y).backward()
            optimizer.step()
    return accuracy(model.float(), data)


# Other ways to propagate a loss


@healthy
def latest_two_losses_propagated_at_once(t: Trial) -> float:
    data = table("digits", t.seed)
    body, kind, size = mlp(64, 32, 32), nn.Linear(32, 10), nn.Linear(32, 1)
    model = nn.ModuleList([body, kind, size])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 250, t.seed):
            optimizer.zero_grad()
            hidden = F.relu(body(x))
            losses = F.cross_entropy(kind(hidden), y), 0.3 * F.mse_loss(size(hidden), x.mean(1, keepdim=True))
            torch.autograd.backward(losses)
            optimizer.step()
    with torch.no_grad():
        return float((kind(F.relu(body(data.x_test))).argmax(1) == data.y_test).float().mean())


@healthy
def latest_checkpointed_layers(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 64, 10)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in itertools.islice(batches(data, 32, 250, t.seed), 250):
            optimizer.zero_grad()
            out = torch.utils.checkpoint.checkpoint(model[1:], model[0](x), use_reentrant=True)
            F.cross_entropy(out, y).backward()
            optimizer.step()
    return accuracy(model, data)
