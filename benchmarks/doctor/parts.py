"""What the programs are made of: data, a plain loop, and the doctor beside it."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.doctor import doctor

ASKED = (1, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 400, 600)
"""Backward passes after which the doctor is asked."""


@dataclass
class Trial:
    """One run of a program.

    Args:
        seed: of its data, network and batches.
        fixed: whether the fault is mended.
        watch: whether the doctor looks on.
        ask: whether it is asked during training, too.
    """

    seed: int
    fixed: bool = False
    watch: bool = False
    ask: bool = False
    said: dict[int, tuple[str, ...]] = field(default_factory=dict)
    final: Any = None
    backwards: int = 0

    @contextlib.contextmanager
    def doctor(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """``with yisheng.doctor(model, optimizer)``, and what it says on the way."""
        if not self.watch:
            yield
            return
        with doctor(model, optimizer) as dr:
            inner = torch.Tensor.backward

            @functools.wraps(inner)
            def backward(*arguments: Any, **more: Any) -> None:
                inner(*arguments, **more)
                self.backwards += 1
                if self.ask and self.backwards in ASKED:
                    self.said[self.backwards] = tuple(finding.check for finding in dr.findings)

            torch.Tensor.backward = backward
            try:
                yield
            finally:
                torch.Tensor.backward = inner
        self.final = dr.diagnose()


@dataclass(frozen=True)
class Program:
    """A training as someone would write it.

    Args:
        name: of the program.
        number: odd: development; even: held out.
        fault: names of checks that tell its cause, the main one first; empty where nothing is wrong.
        run: trains, and gives a score on held-out rows (larger is better).
        data: data set that must be on this machine, or empty.
    """

    name: str
    number: int
    fault: tuple[str, ...]
    run: Callable[[Trial], float]
    data: str = ""


FAULTY: list[Program] = []
HEALTHY: list[Program] = []


def faulty(*fault: str, data: str = "") -> Callable[[Callable[[Trial], float]], Callable[[Trial], float]]:
    """A program with a fault that `Trial.fixed` mends."""

    def keep(run: Callable[[Trial], float]) -> Callable[[Trial], float]:
        FAULTY.append(Program(run.__name__, len(FAULTY) + 1, fault, run, data))
        return run

    return keep


def healthy(run: Callable[[Trial], float]) -> Callable[[Trial], float]:
    """A program in which all is well."""
    HEALTHY.append(Program(run.__name__, len(HEALTHY) + 1, (), run))
    return run


@dataclass(frozen=True)
class Data:
    """Rows to learn from and rows to score with."""

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1


def _cut(x: np.ndarray, y: np.ndarray, seed: int, scale: bool) -> Data:
    a, b, c, d = train_test_split(x.astype("float32"), y, test_size=0.3, random_state=seed)
    if scale:
        mean, std = a.mean(0), a.std(0) + 1e-6
        a, b = (a - mean) / std, (b - mean) / std
    return Data(*(torch.as_tensor(part) for part in (a, c, b, d)))


@functools.cache
def table(name: str, seed: int, scale: bool = True) -> Data:
    """One of scikit-learn's tables: iris, wine, breast_cancer, digits (rows of 64); targets are class numbers."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return _cut(x, y.astype("int64"), seed, scale)


@functools.cache
def diabetes(seed: int, scale: bool = True, scale_target: bool = True) -> Data:
    """Regression of 10 columns on one target ``(N, 1)``."""
    x, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    y = (y - y.mean()) / y.std() if scale_target else y
    return _cut(x, y.astype("float32")[:, None], seed, scale)


@functools.cache
def images(seed: int) -> Data:
    """The digits as images (1, 8, 8) from 0 to 1."""
    x, y = datasets.load_digits(return_X_y=True)
    return _cut((x / 16).reshape(-1, 1, 8, 8), y.astype("int64"), seed, False)


@functools.cache
def made(kind: str, seed: int, rows: int = 800, columns: int = 20) -> Data:
    """Generated rows: moons, blobs, table (10 classes), binary, or regression and friedman with targets (N, 1)."""
    if kind == "moons":
        x, y = datasets.make_moons(rows, noise=0.2, random_state=seed)
    elif kind == "blobs":
        x, y = datasets.make_blobs(rows, columns, centers=6, cluster_std=4.0, random_state=seed)
    elif kind == "binary":
        x, y = datasets.make_classification(rows, columns, n_informative=8, class_sep=1.5, random_state=seed)
    elif kind == "table":
        x, y = datasets.make_classification(
            rows, columns, n_informative=10, n_classes=5, n_clusters_per_class=1, class_sep=1.5, random_state=seed
        )
    elif kind == "friedman":
        x, y = datasets.make_friedman1(rows, n_features=10, noise=0.5, random_state=seed)
        y = ((y - y.mean()) / y.std())[:, None]
    else:
        x, y = datasets.make_regression(rows, columns, noise=5.0, random_state=seed)
        y = ((y - y.mean()) / y.std())[:, None]
    regression = y.ndim == 2
    return _cut(x, y.astype("float32" if regression else "int64"), seed, True)


@functools.cache
def photos(name: str, seed: int, rows: int = 1500) -> Data:
    """Some rows of an image data set that Yisheng knows, from 0 to 1."""
    import yisheng

    found = yisheng.data.load(name)
    draw = np.random.default_rng(seed).permutation(len(found.x))[:rows]
    x = np.asarray(found.x[draw], dtype="float32") / 255
    x = x[:, None] if x.ndim == 3 else x
    return _cut(x, np.asarray(found.y)[draw].astype("int64"), seed, False)


def batches(data: Data, size: int, steps: int, seed: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled batches, epoch after epoch."""
    draw = torch.Generator().manual_seed(seed)
    done = 0
    while True:
        for rows in torch.randperm(len(data.x), generator=draw).split(size):
            if done == steps:
                return
            if len(rows) > 1:
                yield data.x[rows], data.y[rows]
                done += 1


def mlp(*widths: int, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers with an activation between."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), act()]
    return nn.Sequential(*layers[:-1])


def lenet(classes: int = 10, act: type[nn.Module] = nn.ReLU, channels: int = 1, side: int = 8) -> nn.Sequential:
    """A small convolutional network for images."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        act(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        act(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * (side // 4) ** 2, 64),
        act(),
        nn.Linear(64, classes),
    )


def train(
    t: Trial,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Data,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
    *,
    steps: int = 250,
    size: int = 32,
    schedule: Any = None,
) -> None:
    """The plain loop, for the programs whose fault is elsewhere."""
    model.train()
    with t.doctor(model, optimizer):
        for x, y in batches(data, size, steps, t.seed):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()


@torch.no_grad()
def accuracy(model: nn.Module, data: Data) -> float:
    """Share of the held-out rows whose class is named."""
    model.eval()
    return float((model(data.x_test).argmax(1) == data.y_test).float().mean())


@torch.no_grad()
def binary_accuracy(model: nn.Module, data: Data, threshold: float = 0.0) -> float:
    """Likewise of one unit."""
    model.eval()
    return float(((model(data.x_test).flatten() > threshold).long() == data.y_test).float().mean())


@torch.no_grad()
def agreement(model: nn.Module, data: Data) -> float:
    """1 less the squared error's share of the variance, -10 at least."""
    model.eval()
    error = F.mse_loss(model(data.x_test).reshape(data.y_test.shape), data.y_test)
    value = float(1 - error / data.y_test.var(correction=0))
    return max(-10.0, value) if value == value else -10.0
