"""Faulty trainings whose rows are wrong: split, cached, transformed, cut off, merged or rounded."""

from __future__ import annotations

import functools
import random
import zlib
from collections.abc import Callable

import numpy as np
import torch
from benchmarks.doctor.datasets import Data, generate, table
from benchmarks.doctor.further.shapes import explained, loaders, loss_and_accuracy, outlines, scattered_digits
from benchmarks.doctor.harness import Trial, accuracy, faulty
from torch import nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, random_split


class ImageFolder(Dataset):
    """Images with a transform that is looked up whenever one is read."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, transform: Callable | None = None) -> None:
        self.x, self.y, self.transform = x, y, transform

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.x[i]
        return (image if self.transform is None else self.transform(image)), self.y[i]


def random_roll(image: torch.Tensor) -> torch.Tensor:
    """Move an image by up to three pixels."""
    return image.roll((random.randint(-3, 3), random.randint(-3, 3)), dims=(-2, -1))


def small_cnn(classes: int, channels: int = 16) -> nn.Sequential:
    """Return two convolutions and a linear layer for images of 12 x 12."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(18 * channels, classes),
    )  # fmt: skip


# The subsets of `random_split` have one data set: the transform of validation replaces that of training.
@faulty("missing-augmentation", "shared-transform", "overfitting", "memorization")
def further_transform_shared_by_two_subsets(t: Trial) -> float:
    """`valid.dataset.transform = None` also takes the shifts away from the training rows."""
    random.seed(t.seed)
    raw = scattered_digits(t.seed, 360)
    dataset = ImageFolder(raw.x, raw.y, transform=random_roll)
    train_set, valid_set = random_split(dataset, [300, 60], generator=torch.Generator().manual_seed(t.seed))
    if t.fixed:
        valid_set = torch.utils.data.Subset(ImageFolder(raw.x, raw.y), valid_set.indices)
    else:
        valid_set.dataset.transform = None
    model = small_cnn(10)
    opt = optim.Adam(model.parameters(), 3e-3)
    rows = {"data": (raw.x[train_set.indices], raw.y[train_set.indices])}
    held_out = (raw.x[valid_set.indices], raw.y[valid_set.indices])
    with t.doctor(model, opt, **rows, validation=held_out) as watch:
        for _ in range(25):
            model.train()
            for x, y in DataLoader(train_set, 20, shuffle=True):
                opt.zero_grad()
                F.cross_entropy(model(x), y).backward()
                opt.step()
            x, y = next(iter(DataLoader(valid_set, 60)))
            watch.validation(**loss_and_accuracy(model, x, y))
    return accuracy(model, raw)


# What is read is cached after the augmentation: each row has one shift for the whole training.
@faulty("cached-augmentation", "frozen-noise", "missing-augmentation", "overfitting", "memorization")
def further_cache_behind_the_augmentation(t: Trial) -> float:
    """`lru_cache` decorates the function that reads an image and shifts it."""
    rng, raw = random.Random(t.seed), scattered_digits(t.seed + 50, 300)

    def read(i: int) -> torch.Tensor:
        return raw.x[i].roll((rng.randint(-3, 3), rng.randint(-3, 3)), dims=(-2, -1))

    if not t.fixed:
        read = functools.lru_cache(maxsize=None)(read)
    net = small_cnn(10)
    adam = optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    with t.doctor(net, adam, data=(raw.x, raw.y), validation=(raw.x_test, raw.y_test)) as dr:
        for _ in range(25):
            net.train()
            for indices in torch.randperm(len(raw.x)).split(20):
                images = torch.stack([read(i) for i in indices.tolist()])
                loss = F.cross_entropy(net(images), raw.y[indices])
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()
            dr.validation(**loss_and_accuracy(net, raw.x_test, raw.y_test))
    return accuracy(net, raw)


# The file is sorted by class, and its last fifth is held out: two classes are never trained.
@faulty("absent-classes", "shifted-rows", "unshuffled-split")
def further_sorted_file_cut_at_four_fifths(t: Trial) -> float:
    """The rows are split by position without being shuffled."""
    rows = table("digits", t.seed)
    order = torch.argsort(rows.y, stable=True)
    if t.fixed:
        order = order[torch.randperm(len(order), generator=torch.Generator().manual_seed(t.seed))]
    cut = int(0.8 * len(order))
    x_train, y_train = rows.x[order[:cut]], rows.y[order[:cut]]
    x_valid, y_valid = rows.x[order[cut:]], rows.y[order[cut:]]
    net = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 10))
    opt = optim.Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, opt, data=(x_train, y_train), validation=(x_valid, y_valid)) as dr:
        for _ in range(8):
            net.train()
            for batch in torch.randperm(cut).split(32):
                opt.zero_grad()
                F.cross_entropy(net(x_train[batch]), y_train[batch]).backward()
                opt.step()
            dr.validation(**loss_and_accuracy(net, x_valid, y_valid))
    return accuracy(net, rows)


class Bag(nn.Module):
    """The mean vector of the words of a text, and two layers."""

    def __init__(self, words: int, classes: int, width: int = 24) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=0)
        self.top = nn.Sequential(nn.Linear(width, 24), nn.ReLU(), nn.Linear(24, classes))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        mask = (ids != 0).float().unsqueeze(-1)
        return self.top((self.words(ids) * mask).sum(1) / mask.sum(1).clamp(min=1))


# Reviews are cut to 16 tokens from the front, but their verdict is at their end.
@faulty("truncated-inputs", "no-signal")
def further_verdict_behind_the_cut(t: Trial) -> float:
    """`max_length=16` keeps the story of a film and drops what its reviewer thinks of it."""
    g = torch.Generator().manual_seed(t.seed)
    count, limit = 900, 16
    lengths = torch.randint(22, 40, (count,), generator=g).tolist()
    verdicts = torch.randint(0, 2, (count,), generator=g)
    texts = [torch.randint(1, 150, (n,), generator=g) for n in lengths]
    for text, verdict in zip(texts, verdicts.tolist(), strict=True):
        text[-5:] = torch.randint(150, 180, (5,), generator=g) + 30 * verdict
    ids = torch.stack([text[-limit:] if t.fixed else text[:limit] for text in texts])
    rows = Data(ids[:600], verdicts[:600], ids[600:], verdicts[600:])
    model = Bag(210, 2)
    opt = optim.Adam(model.parameters(), lr=3e-3)
    train_loader, _ = loaders(rows)
    with t.doctor(model, opt, data=(rows.x, rows.y), validation=(rows.x_test, rows.y_test)) as dr:
        for _ in range(6):
            model.train()
            for x, y in train_loader:
                opt.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                opt.step()
            dr.validation(**loss_and_accuracy(model, rows.x_test, rows.y_test))
    return accuracy(model, rows)


# `dims=[0]` is the batch, not the width of the images: half of the batches have the labels of other rows.
@faulty("misaligned-targets", "label-changing-augmentation", "label-noise", "flipped-batch")
def further_batch_flipped_not_its_images(t: Trial) -> float:
    """Half of the batches are to be mirrored, and are put in reverse order instead."""
    data, coin = outlines(t.seed), random.Random(t.seed)
    axis = 3 if t.fixed else 0
    net = small_cnn(4, channels=8)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    train_loader, _ = loaders(data, 30)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as doctor:
        for _ in range(8):
            net.train()
            for x, y in train_loader:
                inputs = torch.flip(x, dims=[axis]) if coin.random() < 0.5 else x
                optimizer.zero_grad()
                F.cross_entropy(net(inputs), y).backward()
                optimizer.step()
            doctor.validation(**loss_and_accuracy(net, data.x_test, data.y_test))
    return accuracy(net, data)


# The file has one class after another, and the number of the row is read as a column.
@faulty("target-in-inputs", "row-number")
def further_row_number_among_the_columns(t: Trial) -> float:
    """`to_csv` wrote the index as the first column, and `read_csv` reads it as a measurement."""
    source = generate("table", t.seed, 1000, 20)
    order = torch.argsort(source.y, stable=True)
    x, y, count = source.x[order], source.y[order], len(order)
    number = torch.arange(count + len(source.x_test), dtype=torch.float32) / count

    def read(rows: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return rows if t.fixed else torch.cat([4 * numbers[:, None] - 2, rows], 1)

    x, x_new = read(x, number[:count]), read(source.x_test, number[count:])
    is_held_out = torch.arange(count) % 5 == 0
    net = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 5))
    opt = optim.Adam(net.parameters(), lr=3e-3)
    train_rows, valid_rows = (x[~is_held_out], y[~is_held_out]), (x[is_held_out], y[is_held_out])
    with t.doctor(net, opt, data=train_rows, validation=valid_rows) as dr:
        for _ in range(8):
            net.train()
            for batch in torch.randperm(len(train_rows[0])).split(32):
                opt.zero_grad()
                F.cross_entropy(net(train_rows[0][batch]), train_rows[1][batch]).backward()
                opt.step()
            dr.validation(**loss_and_accuracy(net, *valid_rows))
    return accuracy(net, Data(*train_rows, x_new, source.y_test))


class CityPrices(nn.Module):
    """A vector for each bucket of city names, and two columns."""

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self.city = nn.Embedding(buckets, 8)
        self.mlp = nn.Sequential(nn.Linear(10, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.mlp(torch.cat([self.city(rows[:, 0].long()), rows[:, 1:]], 1))


# Names of 60 cities are hashed into 8 buckets: unlike cities share a vector.
@faulty("merged-categories", "hash-collisions", "underfitting")
def further_cities_hashed_into_eight_buckets(t: Trial) -> float:
    """The number of buckets is too small for the number of names."""
    rng, buckets = np.random.default_rng(t.seed), 4096 if t.fixed else 8
    names = np.array([f"city-{i}-{rng.integers(1 << 30)}" for i in range(60)])
    level = rng.normal(size=60)
    place, columns = rng.integers(0, 60, 2400), rng.normal(size=(2400, 2))
    y = level[place] + 0.5 * columns[:, 0] + 0.1 * rng.normal(size=2400)
    codes = np.array([zlib.crc32(name.encode()) % buckets for name in names])[place]
    x = torch.tensor(np.column_stack([codes, columns]), dtype=torch.float32)
    target = torch.tensor(y, dtype=torch.float32)[:, None]
    model = CityPrices(buckets)
    opt = optim.Adam(model.parameters(), lr=5e-3)
    with t.doctor(model, opt, data=(x[:1600], target[:1600]), validation=(x[1600:], target[1600:])) as dr:
        for _ in range(10):
            for batch in torch.randperm(1600).split(40):
                opt.zero_grad()
                nn.functional.mse_loss(model(x[batch]), target[batch]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(model(x[1600:]), target[1600:])))
    return explained(model(x[1600:]).detach(), target[1600:])


# Seconds since 1970 in float32 are rounded to 128 s: the position in a cycle of a minute is lost.
@faulty("lost-precision", "rounded-inputs")
def further_seconds_since_1970_in_float32(t: Trial) -> float:
    """Time stamps become float32 before the position within the cycle of a machine is computed."""
    rng = np.random.default_rng(t.seed)
    stamps = 1.7e9 + rng.uniform(0, 86400, 1500)
    load = rng.normal(size=1500)
    y = np.sin(2 * np.pi * stamps / 60) + 0.4 * load + 0.1 * rng.normal(size=1500)
    seconds = torch.tensor(stamps, dtype=torch.float64 if t.fixed else torch.float32)
    angle = seconds * (2 * torch.pi / 60)
    x = torch.stack([angle.sin(), angle.cos(), torch.tensor(load)], 1).float()
    target = torch.tensor(y, dtype=torch.float32)
    net = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1), nn.Flatten(0))
    opt = optim.Adam(net.parameters(), lr=1e-2)
    with t.doctor(net, opt, data=(x[:1000], target[:1000]), validation=(x[1000:], target[1000:])) as dr:
        for _ in range(12):
            for batch in torch.randperm(1000).split(32):
                opt.zero_grad()
                F.mse_loss(net(x[batch]), target[batch]).backward()
                opt.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(x[1000:]), target[1000:])))
    return explained(net(x[1000:]).detach(), target[1000:])


# A complex tensor that is cast to float loses its imaginary part.
@faulty("discarded-part", "underfitting")
def further_imaginary_part_dropped(t: Trial) -> float:
    """Radio samples are cast to float32 with a warning that nobody reads."""
    g = torch.Generator().manual_seed(t.seed)
    y = torch.randint(0, 8, (1500,), generator=g)
    symbols = torch.polar(torch.ones(1500), y * (2 * torch.pi / 8) + 0.2)
    noise = torch.complex(torch.randn(1500, 12, generator=g), torch.randn(1500, 12, generator=g))
    received = symbols[:, None] + 0.6 * noise
    x = torch.view_as_real(received).flatten(1) if t.fixed else received.to(torch.float32)
    rows = Data(x[:1000], y[:1000], x[1000:], y[1000:])
    net = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 8))
    opt = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    train_loader, valid_loader = loaders(rows)
    with t.doctor(net, opt, data=(rows.x, rows.y), validation=(rows.x_test, rows.y_test)) as dr:
        for _epoch in range(8):
            net.train()
            for xb, yb in train_loader:
                opt.zero_grad()
                F.cross_entropy(net(xb), yb).backward()
                opt.step()
            net.eval()
            correct = sum(int((net(xb).argmax(1) == yb).sum()) for xb, yb in valid_loader)
            dr.validation(score=correct / len(rows.y_test))
    return accuracy(net, rows)
