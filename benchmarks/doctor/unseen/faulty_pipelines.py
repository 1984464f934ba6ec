"""Faulty trainings whose rows, order, augmentation or validation are wrong."""

from __future__ import annotations

import itertools

import torch
from benchmarks.doctor.datasets import Data, generate, images, table
from benchmarks.doctor.harness import Trial, accuracy, faulty, r2
from benchmarks.doctor.unseen.loop import ConvNet, Net, digits, fit, generator, loader, nonlinear, validate
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


# Order of the rows


@faulty("sorted-targets")
def regression_sorted_by_target(t: Trial) -> float:
    """The rows of a file are sorted by price and the loader does not shuffle."""
    data = nonlinear(t.seed)
    order = data.y[:, 0].argsort()
    data = Data(data.x[order], data.y[order], data.x_test, data.y_test)
    net = Net(8, 1)
    fit(t, net, SGD(net.parameters(), lr=0.05, momentum=0.9), data, F.mse_loss, epochs=10, shuffle=t.fixed)
    return r2(net, data)


@faulty("fixed-batches", "overfitting")
def the_first_batch_each_time(t: Trial) -> float:
    """`next(iter(loader))` without shuffling is always the first batch."""
    data = digits(t.seed)
    net = Net(64, 10)
    optimizer = Adam(net.parameters(), lr=3e-3)
    train_loader = loader(data, shuffle=t.fixed)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for step in range(240):
            x, y = next(iter(train_loader))
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            if step % 40 == 39:
                validate(net, data, F.cross_entropy, dr)
                net.train()
    return accuracy(net, data)


@faulty("fixed-batches", "overfitting")
def break_left_in_the_loop(t: Trial) -> float:
    """`if i == 2: break` is left from debugging, and the loader does not shuffle."""
    data = images(t.seed)
    net = ConvNet()
    optimizer = Adam(net.parameters(), lr=2e-3)
    train_loader = loader(data, shuffle=t.fixed)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(40 if not t.fixed else 4):
            net.train()
            for x, y in itertools.islice(train_loader, None if t.fixed else 3):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            validate(net, data, F.cross_entropy, dr)
    return accuracy(net, data)


# Rows


@faulty("inputs", "missing-values")
def missing_inputs_as_minus_9999(t: Trial) -> float:
    """One value in fifty is missing, and written as -9999."""
    data = nonlinear(t.seed)
    x, x_test = data.x.clone(), data.x_test.clone()
    g = generator(t.seed)
    for part in (x, x_test):
        part[torch.rand(part.shape, generator=g) < 0.02] = 0.0 if t.fixed else -9999.0
    data = Data(x, data.y, x_test, data.y_test)
    net = Net(8, 1)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=8)
    return r2(net, data)


@faulty("inputs", "constant-columns", "no-signal")
def images_cut_to_whole_numbers(t: Trial) -> float:
    """Images from 0 to 1 are cast to whole numbers, which leaves zeros."""
    data = images(t.seed)
    cut = Data((data.x * 0.99).long().float(), data.y, (data.x_test * 0.99).long().float(), data.y_test)
    data = data if t.fixed else cut
    net = ConvNet()
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=4)
    return accuracy(net, data)


@faulty("leaking-rows")
def oversampled_before_the_split(t: Trial) -> float:
    """Rows are copied five times and then split, so that the validation rows are training rows."""
    g = generator(t.seed)
    x = torch.randn(700, 10, generator=g)
    y = ((x[:, 0] * x[:, 1] + 0.7 * torch.randn(700, generator=g)) > 0).long()
    rows = torch.arange(200).repeat(5)
    rows = rows[torch.randperm(1000, generator=g)]
    train, held_out = (torch.arange(150).repeat(5), torch.arange(150, 200)) if t.fixed else (rows[:750], rows[750:])
    data = Data(x[train], y[train], x[held_out], y[held_out])
    net = Net(10, 2, hidden=96)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=8)
    unseen = Data(x, y, x[200:], y[200:])
    return -abs(accuracy(net, data) - accuracy(net, unseen))


@faulty("shifted-rows", "evaluated-inputs", "mode")
def validation_rows_not_scaled(t: Trial) -> float:
    """Only the training rows are standardized."""
    data, raw = table("breast_cancer", t.seed), table("breast_cancer", t.seed, False)
    data = data if t.fixed else Data(data.x, data.y, raw.x_test, data.y_test)
    net = Net(30, 2, hidden=32)
    fit(t, net, Adam(net.parameters(), lr=2e-3), data, epochs=6)
    return accuracy(net, data)


# Augmentation


@faulty("evaluated-inputs", "underfitting", "label-changing-augmentation")
def crops_that_miss_the_object(t: Trial) -> float:
    """Images are moved by up to seven of eight pixels."""

    def move(x: torch.Tensor) -> torch.Tensor:
        reach = 1 if t.fixed else 7
        padded = F.pad(x, (reach,) * 4)
        i, j = torch.randint(0, 2 * reach + 1, (2,)).tolist()
        return padded[:, :, i : i + 8, j : j + 8]

    data, net = images(t.seed), ConvNet()
    fit(t, net, Adam(net.parameters(), lr=2e-3), data, epochs=6, augment=move)
    return accuracy(net, data)


@faulty("evaluated-inputs", "underfitting")
def noise_stronger_than_the_image(t: Trial) -> float:
    """Noise with ten times the standard deviation of the pixels is added."""
    data, net = images(t.seed), ConvNet()
    strength = 0.1 if t.fixed else 4.0
    fit(
        t, net, Adam(net.parameters(), lr=2e-3), data, epochs=6, augment=lambda x: x + strength * torch.randn_like(x)
    )  # fmt: skip
    return accuracy(net, data)


@faulty("evaluated-inputs", "no-signal", "underfitting")
def mixed_images_with_the_label_of_one(t: Trial) -> float:
    """Images are mixed half and half with others, but keep the label of the first or of the second at random."""
    data, net = images(t.seed), ConvNet()

    def mix(x: torch.Tensor) -> torch.Tensor:
        return x if t.fixed else 0.3 * x + 0.7 * x[torch.randperm(len(x))]

    fit(t, net, Adam(net.parameters(), lr=2e-3), data, epochs=6, augment=mix)
    return accuracy(net, data)


# Batch norm, dropout, modes


class Tiny(nn.Module):
    """Batch norm after a global pooling."""

    def __init__(self, norm: type[nn.Module]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3)
        self.norm1 = nn.BatchNorm2d(16) if norm is nn.BatchNorm1d else nn.GroupNorm(4, 16)
        self.fc1, self.norm2, self.fc2 = nn.Linear(16 * 9, 32), norm(32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.max_pool2d(F.relu(self.norm1(self.conv(x))), 2)
        return self.fc2(F.relu(self.norm2(self.fc1(h.flatten(1)))))


@faulty("small-batch-norm")
def batch_norm_with_batches_of_two(t: Trial) -> float:
    """Statistics of two rows: the running ones do not fit what the network was trained with."""
    data = images(t.seed)
    data = Data(data.x[:600], data.y[:600], data.x_test, data.y_test)
    net = Tiny(nn.LayerNorm if t.fixed else nn.BatchNorm1d)
    fit(t, net, SGD(net.parameters(), lr=0.01, momentum=0.9), data, epochs=2, size=2)
    return accuracy(net, data)


@faulty("strong-dropout", "underfitting")
def dropout_of_097(t: Trial) -> float:
    """A dropout of 0.97 that was meant as the part to keep."""
    data = digits(t.seed)
    net = Net(64, 10, hidden=64, layers=2, dropout=0.03 if t.fixed else 0.97)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=6)
    return accuracy(net, data)


class AlwaysDropped(nn.Module):
    """Dropout by the function, whose default is to drop in evaluation, too."""

    def __init__(self, heeds_mode: bool) -> None:
        super().__init__()
        self.heeds_mode = heeds_mode
        self.fc1, self.fc2 = nn.Linear(64, 48), nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        training = self.training if self.heeds_mode else True
        return self.fc2(F.dropout(F.relu(self.fc1(x)), 0.6, training=training))


@faulty("mode")
def dropout_by_the_function(t: Trial) -> float:
    """`F.dropout(x, 0.6)` without `training=self.training`."""
    data, net = digits(t.seed), AlwaysDropped(t.fixed)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=6)
    return accuracy(net, data)


@faulty("mode", "batch-norm-statistics", "small-batch-norm")
def batch_norm_with_a_momentum_of_0001(t: Trial) -> float:
    """The running statistics still are the initial ones when the network is evaluated."""
    data = table("wine", t.seed, False)
    net = nn.Sequential(
        nn.Linear(13, 32), nn.BatchNorm1d(32, momentum=0.1 if t.fixed else 1e-4), nn.ReLU(), nn.Linear(32, 3)
    )
    fit(t, net, Adam(net.parameters(), lr=1e-2), data, epochs=25, size=31)
    return accuracy(net, data)


class DropsOutput(nn.Module):
    """Dropout after the last layer."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.net, self.drop = Net(20, 1), nn.Dropout(probability)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.net(x))


@faulty("strong-dropout", "loss-pairing")
def dropout_after_the_last_layer(t: Trial) -> float:
    """A regression whose prediction is set to zero half of the time."""
    data = generate("regression", t.seed)
    net = DropsOutput(0.0 if t.fixed else 0.5)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=10)
    return r2(net, data)
