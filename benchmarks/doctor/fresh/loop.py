"""What the fresh programs share: a loop that validates by batches, networks and scores."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.harness import Trial
from benchmarks.doctor.unseen.loop import Loss, loader
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


@torch.no_grad()
def evaluate(net: nn.Module, rows: DataLoader[Any], criterion: Loss = F.cross_entropy) -> tuple[float, float]:
    """Return the mean loss and the accuracy on rows, batch by batch in evaluation mode.

    The accuracy of a regression is nan.
    """
    net.eval()
    loss_sum, correct, count = 0.0, 0.0, 0
    for x, y in rows:
        out = net(x)
        loss_sum += float(criterion(out, y)) * len(x)
        is_correct = torch.tensor(float("nan")) if y.is_floating_point() else (out.argmax(1) == y).float()
        correct += float(is_correct.mean()) * len(x)
        count += len(x)
    return loss_sum / count, correct / count


def report(dr: Any, loss: float, score: float) -> None:
    """Tell the doctor the loss of the held-out rows, and the score if there is one."""
    if score == score:
        dr.validation(loss=loss, score=score)
    else:
        dr.validation(loss=loss)


def train_epochs(
    t: Trial,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Data,
    criterion: Loss = F.cross_entropy,
    *,
    epochs: int,
    size: int = 32,
    after_step: Callable[[], Any] | None = None,
    after_epoch: Callable[[int], Any] | None = None,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    gives_rows: bool = True,
) -> None:
    """Train with shuffled batches, and validate after each epoch."""
    train_loader, valid_loader = loader(data, size), torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(data.x_test, data.y_test), batch_size=128
    )  # fmt: skip
    rows = {"data": (data.x, data.y), "validation": (data.x_test, data.y_test)} if gives_rows else {}
    with t.doctor(net, optimizer, **rows) as dr:
        for epoch in range(epochs):
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                loss = criterion(net(x if augment is None else augment(x)), y)
                loss.backward()
                optimizer.step()
                if after_step is not None:
                    after_step()
            report(dr, *evaluate(net, valid_loader, criterion))
            if after_epoch is not None:
                after_epoch(epoch)


class TwoConvs(nn.Module):
    """Two convolutions with global average pooling and a linear layer."""

    def __init__(self, channels: int = 1, classes: int = 10, width: int = 16, norm: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.BatchNorm2d(width) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(2 * width) if norm else nn.Identity(),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
        )
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).flatten(1))


@torch.no_grad()
def negative_log_loss(net: nn.Module, data: Data) -> float:
    """Return minus the mean cross-entropy of the held-out rows."""
    net.eval()
    return -float(F.cross_entropy(net(data.x_test), data.y_test))


@functools.lru_cache(maxsize=64)
def tree_score(data: Data, margin: float = 0.02) -> float:
    """Return the accuracy or R² of randomized trees on the held-out rows, minus a margin."""
    is_classes = not data.y.is_floating_point()
    trees = (ExtraTreesClassifier if is_classes else ExtraTreesRegressor)(100, random_state=0)
    trees.fit(data.x.flatten(1).numpy(), data.y.flatten().numpy())
    return float(trees.score(data.x_test.flatten(1).numpy(), data.y_test.flatten().numpy())) - margin
