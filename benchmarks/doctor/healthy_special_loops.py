"""Healthy trainings with special architectures, precision, rows or losses.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import math

import torch
from benchmarks.doctor.datasets import Data, generate, images, table
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
from benchmarks.doctor.healthy_finetuning import pretrained
from benchmarks.doctor.healthy_optimizers_and_losses import TwoHeads
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@healthy
def unused_head(t: Trial) -> float:
    data = table("digits", t.seed)
    model = TwoHeads()
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 250, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model.kind(F.relu(model.body(x))), y).backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(data.x_test)[0].argmax(1) == data.y_test).float().mean())


@healthy
def recurrent_and_clipped(t: Trial) -> float:
    data = images(t.seed)

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.GRU(8, 32, batch_first=True), nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.rnn(x[:, 0])[1][0])

    model = Rows()
    optimizer = Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return accuracy(model, data)


@healthy
def scaled_for_half_precision(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    optimizer = Adam(model.parameters(), lr=3e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=50)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return accuracy(model, data)


@healthy
def embedding_and_attention(t: Trial) -> float:
    generator = torch.Generator().manual_seed(t.seed)
    x = torch.randint(0, 20, (1500, 12), generator=generator)
    y = ((x == 3).sum(1) > (x == 7).sum(1)).long()
    data = Data(x[:1000], y[:1000], x[1000:], y[1000:])

    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(20, 16)
            self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
            self.out = nn.Linear(16, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.block(self.embed(x)).mean(1))

    model = Text()
    train(t, model, Adam(model.parameters(), lr=3e-3), data, steps=200)
    return accuracy(model, data)


@healthy
def adversarial_rows_from_evaluation_mode(t: Trial) -> float:
    data = table("digits", t.seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 150, t.seed):
            model.eval()
            perturbed = x.clone().requires_grad_(True)
            step = torch.autograd.grad(F.cross_entropy(model(perturbed), y), perturbed)[0].sign()
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x + 0.05 * step), y).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def weight_penalty_in_the_loss(t: Trial) -> float:
    data = generate("regression", t.seed)
    model = mlp(20, 32, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(out, y) + 1e-4 * sum(p.abs().sum() for p in model.parameters())

    train(t, model, Adam(model.parameters(), lr=5e-3), data, loss)
    return r2(model, data)


@healthy
def bounded_logits(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    train(
        t, model, Adam(model.parameters(), lr=2e-3), data, lambda out, y: F.cross_entropy(15 * torch.tanh(out / 15), y)
    )
    return accuracy(model, data)


@healthy
def easy_rows_first(t: Trial) -> float:
    data = generate("blobs", t.seed)
    centers = torch.stack([data.x[data.y == k].mean(0) for k in range(6)])
    hard = (data.x - centers[data.y]).norm(dim=1).argsort()
    model = mlp(20, 32, 6)
    optimizer = SGD(model.parameters(), lr=0.1)
    with t.doctor(model, optimizer):
        for step in range(250):
            easy_rows = hard[: max(64, math.ceil(len(hard) * min(1, step / 150)))]
            rows = easy_rows[torch.randint(0, len(easy_rows), (32,))]
            optimizer.zero_grad()
            F.cross_entropy(model(data.x[rows]), data.y[rows]).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def perceptual_loss(t: Trial) -> float:
    data = images(t.seed)
    teacher = pretrained(data, t.seed)[0]
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1))
    optimizer = Adam(model.parameters(), lr=1e-2)
    with t.doctor(model, optimizer):
        for x, _ in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            output = model(x + 0.3 * torch.randn_like(x))
            (F.mse_loss(output, x) + 0.1 * F.mse_loss(teacher(output), teacher(x).detach())).backward()
            optimizer.step()
    with torch.no_grad():
        return -float(F.mse_loss(model(data.x_test), data.x_test))
