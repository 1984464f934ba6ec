"""What the unseen programs share: a loop with validation after each epoch, and data that they all read."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.harness import Trial
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def loader(data: Data, size: int = 32, *, shuffle: bool = True) -> DataLoader[Any]:
    """Return a loader of the training rows."""
    return DataLoader(TensorDataset(data.x, data.y), batch_size=size, shuffle=shuffle)


def fit(
    t: Trial,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Data,
    criterion: Loss = F.cross_entropy,
    *,
    epochs: int = 6,
    size: int = 32,
    shuffle: bool = True,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    schedule: Any = None,
    clip: float | None = None,
) -> None:
    """Train, and validate after each epoch, in the loop that most tutorials have."""
    train_loader = loader(data, size, shuffle=shuffle)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(epochs):
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                loss = criterion(net(x if augment is None else augment(x)), y)
                loss.backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(net.parameters(), clip)
                optimizer.step()
            if schedule is not None:
                schedule.step()
            validate(net, data, criterion, dr)


@torch.no_grad()
def validate(net: nn.Module, data: Data, criterion: Loss, dr: Any) -> float:
    """Measure the loss and, for classes, the accuracy on the held-out rows in evaluation mode."""
    net.eval()
    out = net(data.x_test)
    loss = float(criterion(out, data.y_test))
    is_classes = not data.y_test.is_floating_point() and out.ndim == 2 and out.shape[1] > 1 and data.y_test.ndim == 1
    score = float((out.argmax(1) == data.y_test).float().mean()) if is_classes else None
    if score is None:
        dr.validation(loss=loss)
    else:
        dr.validation(loss=loss, score=score)
    return loss


class Net(nn.Module):
    """A perceptron with one or two hidden layers."""

    def __init__(self, inputs: int, outputs: int, hidden: int = 64, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [inputs] + [hidden] * layers
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.drop, self.out = nn.Dropout(dropout), nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for layer in self.hidden:
            x = self.drop(F.relu(layer(x)))
        return self.out(x)


class ConvNet(nn.Module):
    """Two convolutions and two linear layers for images of 8 x 8."""

    def __init__(self, channels: int = 1, classes: int = 10, norm: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 12, 3, padding=1), nn.Conv2d(12, 24, 3, padding=1)
        self.norm1, self.norm2 = (nn.BatchNorm2d(12), nn.BatchNorm2d(24)) if norm else (nn.Identity(), nn.Identity())
        self.fc1, self.fc2 = nn.Linear(24 * 4, 48), nn.Linear(48, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def split(x: torch.Tensor, y: torch.Tensor, rows: int) -> Data:
    """Return the first rows for training, the others held out."""
    return Data(x[:rows], y[:rows], x[rows:], y[rows:])


@functools.cache
def digits(seed: int) -> Data:
    """Return the digits as 64 columns, scaled by one mean and one standard deviation."""
    data = images(seed)
    x, x_test = ((part.flatten(1) - 0.3) / 0.38 for part in (data.x, data.x_test))
    return Data(x, data.y, x_test, data.y_test)


def generator(seed: int) -> torch.Generator:
    """Return a generator with a seed."""
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def balanced_accuracy(net: nn.Module, data: Data) -> float:
    """Return the mean of the recalls of the classes."""
    net.eval()
    out = net(data.x_test)
    predicted = (out.flatten() > 0).long() if out.shape[-1] == 1 else out.argmax(1)
    return float(torch.stack([(predicted[data.y_test == k] == k).float().mean() for k in data.y_test.unique()]).mean())


@torch.no_grad()
def f1(net: nn.Module, data: Data) -> float:
    """Return the F1 score of all labels of all rows together, with a threshold of 0.5."""
    net.eval()
    predicted = net(data.x_test) > 0
    correct = (predicted & (data.y_test > 0.5)).sum()
    return float(2 * correct / (predicted.sum() + (data.y_test > 0.5).sum()).clamp(min=1))


@functools.cache
def nonlinear(seed: int, rows: int = 1200, columns: int = 8, noise: float = 0.1) -> Data:
    """Return a regression of ``(N, 1)`` targets of variance near 1 with products and waves."""
    g = generator(seed)
    x = torch.randn(rows, columns, generator=g)
    y = torch.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] * 0.5 + 0.5 * x[:, 3] + noise * torch.randn(rows, generator=g)
    return split(x, y[:, None], rows * 2 // 3)
