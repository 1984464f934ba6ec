"""Healthy trainings of pretrained networks.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    healthy,
    lenet,
    mlp,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


def pretrained(data: Data, seed: int) -> nn.Sequential:
    """Return a trained body, of half as many classes, and a new head."""
    torch.manual_seed(seed + 77)
    model = nn.Sequential(lenet()[:-1], nn.Linear(64, 10))
    optimizer = Adam(model.parameters(), lr=3e-3)
    for x, y in batches(data, 32, 150, seed):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y % 5).backward()
        optimizer.step()
    model[1] = nn.Linear(64, 10)
    return model


@healthy
def frozen_backbone(t: Trial) -> float:
    data = images(t.seed)
    model = pretrained(data, t.seed)
    model[0].requires_grad_(False)
    train(t, model, SGD(model[1].parameters(), lr=0.02), data)
    return accuracy(model, data)


@healthy
def frozen_backbone_in_the_optimizer(t: Trial) -> float:
    data = images(t.seed)
    model = pretrained(data, t.seed)
    for p in model[0].parameters():
        p.requires_grad = False
    train(t, model, Adam(model.parameters(), lr=5e-3), data)
    return accuracy(model, data)


@healthy
def backbone_in_evaluation_mode(t: Trial) -> float:
    data = images(t.seed)
    body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2))
    model = nn.Sequential(body, nn.Linear(288, 10))
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    for x, y in batches(data, 32, 100, t.seed):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    model[1] = nn.Linear(288, 10)
    body.requires_grad_(False)
    model.train()
    body.eval()
    optimizer = SGD(model[1].parameters(), lr=0.05, momentum=0.9)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 200, t.seed):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def features_of_a_trained_body_without_gradient(t: Trial) -> float:
    data = images(t.seed)
    trained = pretrained(data, t.seed)

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = trained[0], nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                x = self.body(x)
            return self.head(x)

    model = Head()
    train(t, model, Adam(model.head.parameters(), lr=1e-2), data)
    return accuracy(model, data)


@healthy
def small_rate_for_the_body(t: Trial) -> float:
    data = images(t.seed)
    model = pretrained(data, t.seed)
    groups = [{"params": model[0].parameters(), "lr": 1e-5}, {"params": model[1].parameters(), "lr": 5e-3}]
    train(t, model, Adam(groups), data)
    return accuracy(model, data)


@healthy
def finetuned_with_a_small_rate(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10)
    optimizer = Adam(model.parameters(), lr=3e-3)
    for x, y in batches(data, 32, 300, t.seed):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    train(t, model, torch.optim.AdamW(model.parameters(), lr=1e-5), data)
    return accuracy(model, data)
