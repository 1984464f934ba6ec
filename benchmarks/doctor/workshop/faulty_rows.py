"""Workshop faults of rows: slices, lengths, columns that remain, scales, and sets that are taken for others."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.harness import Trial, accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import digits, fit
from sklearn.preprocessing import StandardScaler, normalize
from torch import Tensor, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split


# The slices of an epoch begin at the rows 0, 1, 2, ..., 38: 1186 of 1257 rows are never read.
@faulty("unused-rows", "fixed-batches", "overfitting", "memorization", "repeated-rows")
def workshop_slices_that_move_by_one_row(t: Trial) -> float:
    """`x[i : i + batch]` for `i in range(len(x) // batch)` where `x[i * batch : (i + 1) * batch]` was meant."""
    data = digits(t.seed)
    net = mlp(64, 48, 10)
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    batch = 32
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(12):
            net.train()
            for i in range(len(data.x) // batch):
                start = i * batch if t.fixed else i
                x, y = data.x[start : start + batch], data.y[start : start + batch]
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, net, data)
    return accuracy(net, data)


class Table(Dataset):
    """The rows of a table and their classes."""

    def __init__(self, x: Tensor, y: Tensor, counts_rows: bool) -> None:
        self.x, self.y, self.counts_rows = x, y, counts_rows

    def __len__(self) -> int:
        return len(self.x) if self.counts_rows else len(self.x[0])

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i], self.y[i]


# The loader draws from the first 20 of 560 rows, as there are 20 columns.
@faulty("unused-rows", "fixed-batches", "overfitting", "memorization")
def workshop_length_of_one_row(t: Trial) -> float:
    """`def __len__(self): return len(self.x[0])` where `len(self.x)` was meant."""
    data = generate("binary", t.seed)
    net = mlp(20, 48, 2)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    loader = DataLoader(Table(data.x, data.y, counts_rows=t.fixed), batch_size=10, shuffle=True)
    steps = 0
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        while steps < 560:
            net.train()
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                steps += 1
            if steps % 56 == 0:
                report(dr, net, data)
    return accuracy(net, data)


# The network copies the price from the last column, which is empty for a house without a price.
@faulty("target-in-inputs", "leaking-column", "instant-fit", "visible-target")
def workshop_column_that_was_not_dropped(t: Trial) -> float:
    """`np.delete(table, -1, axis=1)` on a line of its own returns a table without the price, which nobody keeps."""
    g = generator(t.seed)
    x = torch.randn(1000, 7, generator=g)
    price = torch.sin(x[:, 0]) + 0.7 * x[:, 1] + 0.4 * x[:, 2] * x[:, 3] + 0.3 * torch.randn(1000, generator=g)
    table = torch.cat([x, price[:, None]], 1).numpy()
    features = table
    if t.fixed:
        features = np.delete(table, -1, axis=1)
    else:
        np.delete(table, -1, axis=1)
    data = split(torch.from_numpy(features), price[:, None])
    net = mlp(features.shape[1], 48, 1)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=15)
    unpriced = data.x_test.clone()
    if not t.fixed:
        unpriced[:, -1] = 0.0
    return explained(net, Data(data.x, data.y, unpriced, data.y_test))


def measure_houses(seed: int) -> tuple[np.ndarray, Tensor]:
    """Return the year, the area, the rooms, the age and the distance of houses, and their price in units of 100,000."""
    rng = np.random.default_rng(seed)
    year, area = rng.uniform(1950, 2020, 1000), rng.normal(110, 30, 1000)
    rooms, garage = rng.integers(1, 7, 1000), rng.integers(0, 2, 1000)
    distance = rng.exponential(8, 1000)
    price = 0.012 * area + 0.3 * rooms + 0.6 * garage - 0.05 * distance + 0.01 * (year - 1985)
    price += rng.normal(0, 0.2, 1000)
    price = torch.from_numpy((price - price.mean()) / price.std()).float()
    return np.stack([year, area, rooms, garage, distance], 1), price[:, None]


# Each row is divided by its length, which is the year: all rows become nearly (1, 0.05, 0.001, 0, 0.004).
@faulty("inputs", "lost-scale", "constant-columns", "unscaled-columns", "underfitting")
def workshop_rows_divided_by_their_length(t: Trial) -> float:
    """`sklearn.preprocessing.normalize(x)`, which scales rows, where `StandardScaler` was meant."""
    x, y = measure_houses(t.seed)
    if t.fixed:
        scaler = StandardScaler().fit(x[:700])
        x = scaler.transform(x)
    else:
        x = normalize(x)
    data = split(torch.from_numpy(x).float(), y)
    net = mlp(5, 48, 1)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=15)
    return explained(net, data)


# A pixel that is white in all images has a deviation of zero, and 0 / 0 is not a number.
@faulty("inputs", "non-finite-inputs", "missing-values", "non-finite-loss", "constant-columns")
def workshop_pixels_that_never_change(t: Trial) -> float:
    """`(x - x.mean(0)) / x.std(0)` for scanned digits, whose corners are always white."""
    raw = images(t.seed)
    x, x_test = raw.x.flatten(1), raw.x_test.flatten(1)
    std = x.std(0)
    if t.fixed:
        std = std.clamp(min=0.05)
    data = Data((x - x.mean(0)) / std, raw.y, (x_test - x.mean(0)) / std, raw.y_test)
    net = mlp(64, 48, 10)
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, epochs=6)
    return accuracy(net, data)


# The network learns the 120 validation rows by heart, and the training rows are never read.
@faulty("seen-validation-rows", "leaking-rows", "trained-on-validation", "unused-rows", "overfitting", "memorization")
def workshop_loader_of_the_validation_set(t: Trial) -> float:
    """`train_loader = DataLoader(valid_set, shuffle=True)`: the line was copied, and the name of the set remained."""
    data = digits(t.seed)
    g = generator(t.seed)
    train_set, valid_set = random_split(TensorDataset(data.x, data.y), [len(data.x) - 120, 120], generator=g)
    train_loader = DataLoader(train_set if t.fixed else valid_set, batch_size=32, shuffle=True)
    x_train, y_train = train_set[:]
    x_valid, y_valid = valid_set[:]
    parts = Data(x_train, y_train, x_valid, y_valid)
    net = mlp(64, 48, 10)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer, **rows_of(parts)) as dr:
        for _ in range(15):
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, net, parts)
    return accuracy(net, data)


# The generator is exhausted after the first epoch: the loops of the others have no batches, and nothing complains.
@faulty("missing-update", "too-few-epochs", "no-batches", "underfitting", "unused-rows")
def workshop_batches_of_an_exhausted_generator(t: Trial) -> float:
    """`batches = ((x[rows], y[rows]) for rows in order.split(32))` is built once, before the loop over the epochs."""
    data = digits(t.seed)
    net = mlp(64, 48, 10)
    optimizer = optim.Adam(net.parameters(), lr=5e-4)

    def draw_batches() -> Iterator[tuple[Tensor, Tensor]]:
        return ((data.x[rows], data.y[rows]) for rows in torch.randperm(len(data.x)).split(32))

    batches = draw_batches()
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for epoch in range(12):
            if t.fixed and epoch:
                batches = draw_batches()
            net.train()
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, net, data)
    return accuracy(net, data)


# Rows of a tensor are views, so that `x[i], x[j] = x[j], x[i]` copies one row over the other: rows vanish forever.
@faulty("repeated-rows", "duplicate-rows", "unused-rows", "overfitting", "memorization", "fixed-batches")
def workshop_rows_swapped_by_python(t: Trial) -> float:
    """`random.shuffle(table)` for a tensor in each epoch, where `table[torch.randperm(len(table))]` was meant."""
    data = digits(t.seed)
    table = torch.cat([data.x, data.y[:, None].float()], 1)
    net = mlp(64, 48, 10)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    rng = random.Random(t.seed)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(15):
            if t.fixed:
                table = table[torch.randperm(len(table))]
            else:
                rng.shuffle(table)
            net.train()
            for rows in table.split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(rows[:, :-1]), rows[:, -1].long()).backward()
                optimizer.step()
            report(dr, net, data)
    return accuracy(net, data)
