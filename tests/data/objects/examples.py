"""Data sets as users write them."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

COUNT = 60
RANDOM = np.random.Generator(np.random.PCG64(0))
X = RANDOM.normal(size=(COUNT, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
IDS = RANDOM.integers(0, 20, (COUNT, 5))


class Plain(Dataset):
    """Items that are the same each time."""

    classes = ("down", "up")

    def __len__(self):
        return COUNT

    def __getitem__(self, row):
        return torch.from_numpy(X[row]), int(Y[row])


class Noisy(Dataset):
    """Items with noise of all three global generators."""

    def __len__(self):
        return COUNT

    def __getitem__(self, row):
        noise = torch.randn(4) + torch.from_numpy(np.random.normal(size=4)).float() + random.random()
        return torch.from_numpy(X[row]) + 0.1 * noise, int(Y[row])


class RarelyNoisy(Plain):
    """Items that change only once in a million times, but draw each time."""

    def __getitem__(self, row):
        x, y = super().__getitem__(row)
        return (x + 1, y) if torch.rand(()) < 1e-6 else (x, y)


class OwnGenerator(Plain):
    """Items with noise of a generator that no seed reaches."""

    def __init__(self):
        self.generator = np.random.default_rng(0)

    def __getitem__(self, row):
        x, y = super().__getitem__(row)
        return x + float(self.generator.normal()), y


class Dicts(Dataset):
    """Items that are dicts with two inputs and a name."""

    def __len__(self):
        return COUNT

    def __getitem__(self, row):
        return {"ids": IDS[row], "size": X[row], "name": f"row {row}", "label": int(Y[row])}


class Rows(IterableDataset):
    """An iterable whose passes are equal."""

    def __iter__(self):
        yield from ((X[row], int(Y[row])) for row in range(COUNT))


class ShuffledRows(IterableDataset):
    """An iterable in another order each time."""

    def __iter__(self):
        yield from ((X[row], int(Y[row])) for row in torch.randperm(COUNT).tolist())


class Network(torch.nn.Module):
    """A network with dropout, which draws from the global generator."""

    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(4, 8)
        self.dropout = torch.nn.Dropout(0.2)
        self.output = torch.nn.Linear(8, 2)

    def forward(self, x):
        return self.output(self.dropout(torch.relu(self.hidden(x))))
