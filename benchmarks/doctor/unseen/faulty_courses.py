"""Faulty trainings whose loss or rate is wrong in its course: rates, decay, schedules, clipping, precision, fitting."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import Data, images
from benchmarks.doctor.harness import Trial, accuracy, faulty, r2
from benchmarks.doctor.unseen.loop import ConvNet, Net, digits, fit, generator, loader, nonlinear, split, validate
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


# Half precision


@faulty("half-precision")
def half_network_with_adam(t: Trial) -> float:
    """Weights in float16 and the eps of 1e-8 that float16 rounds to zero."""
    data = digits(t.seed)
    size = torch.float32 if t.fixed else torch.float16
    net = Net(64, 10, hidden=32).to(size)
    optimizer = Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer):
        for _ in range(3):
            for x, y in loader(data, 64):
                optimizer.zero_grad()
                F.cross_entropy(net(x.to(size)), y).backward()
                optimizer.step()
    return accuracy(net.float(), data)


@faulty("half-precision", "non-finite-loss")
def sum_of_squares_above_65504(t: Trial) -> float:
    """The root of a sum of squared errors in float16, and the sum passes the largest number of that type."""
    data = nonlinear(t.seed)
    size = torch.float32 if t.fixed else torch.float16
    net = Net(8, 1, hidden=32).to(size)
    optimizer = SGD(net.parameters(), lr=3e-4)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for x, y in loader(data, 64):
                optimizer.zero_grad()
                error = (60 * net(x.to(size)) - (60 * y).to(size)).square().sum().sqrt()
                error.backward()
                optimizer.step()
    return r2(net.float(), data)


# Rates a little too high


@faulty("high-learning-rate", "oscillation")
def sgd_of_01_with_momentum(t: Trial) -> float:
    """A deeper convolutional network without batch norm at 0.1 with a momentum of 0.9."""
    data = images(t.seed)
    net = ConvNet()
    fit(t, net, SGD(net.parameters(), lr=0.01 if t.fixed else 0.18, momentum=0.9), data, epochs=8, size=16)
    return accuracy(net, data)


class Attention(nn.Module):
    """Two transformer layers over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Linear(8, 32), nn.Parameter(0.1 * torch.randn(8, 32))
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True) for _ in range(2))
        )
        self.fc = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.blocks(self.embed(x[:, 0]) + self.position).mean(1))


@faulty("high-learning-rate", "oscillation")
def transformer_at_the_rate_of_a_perceptron(t: Trial) -> float:
    """Adam at 0.02, ten times what the network stands."""
    data, net = images(t.seed), Attention()
    fit(t, net, Adam(net.parameters(), lr=2e-3 if t.fixed else 2e-2), data, epochs=5)
    return accuracy(net, data)


@faulty("high-learning-rate", "oscillation")
def regression_that_never_settles(t: Trial) -> float:
    """A high constant rate leaves the weights far from the minimum that they jump around."""
    data = nonlinear(t.seed)
    net = Net(8, 1)
    fit(t, net, Adam(net.parameters(), lr=1e-2 if t.fixed else 0.3), data, F.mse_loss, epochs=15)
    return r2(net, data)


# Decay and lines


class Line(nn.Module):
    """A linear classifier."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1))


@faulty("underfitting")
def exclusive_or_with_a_line(t: Trial) -> float:
    """No line separates the corners of a square, whatever the weight decay is."""
    g = generator(t.seed)
    x = torch.rand(1000, 2, generator=g) * 2 - 1
    data = split(x, ((x[:, 0] > 0) ^ (x[:, 1] > 0)).long(), 700)
    net = Net(2, 2, hidden=32) if t.fixed else Line(2, 2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.01)
    fit(t, net, optimizer, data, epochs=12)
    return accuracy(net, data)


@faulty("strong-decay")
def l2_of_adam(t: Trial) -> float:
    """Adam with an L2 penalty of 0.3, taken for the decay of AdamW."""
    data, net = images(t.seed), ConvNet()
    fit(t, net, Adam(net.parameters(), lr=3e-3, weight_decay=0.0 if t.fixed else 0.3), data, epochs=5)
    return accuracy(net, data)


@faulty("overfitting", "memorization")
def twenty_rows_of_two_hundred_columns(t: Trial) -> float:
    """A linear model with ten times as many weights as rows, without decay."""
    g = generator(t.seed)
    x = torch.randn(140, 200, generator=g)
    y = 0.05 + 0.01 * x.sum(1, keepdim=True) + 0.01 * torch.randn(140, 1, generator=g)
    data = split(x, y * 7, 20)
    net = Line(200, 1)
    nn.init.normal_(net.fc.weight)
    optimizer = SGD(net.parameters(), lr=0.003, weight_decay=3.0 if t.fixed else 0.0)
    fit(t, net, optimizer, data, F.mse_loss, epochs=150, size=5)
    return r2(net, data)


# Over- and underfitting


@faulty("overfitting")
def four_hundred_epochs(t: Trial) -> float:
    """The validation loss is best after a few epochs of 120, and the last weights are used."""
    g = generator(t.seed)
    x = torch.randn(400, 20, generator=g)
    y = ((x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + torch.randn(400, generator=g)) > 0).long()
    data = split(x, y, 100)
    net = Net(20, 2, hidden=128)
    optimizer = Adam(net.parameters(), lr=3e-3)
    best, best_state = float("inf"), copy.deepcopy(net.state_dict())
    train_loader = loader(data)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for epoch in range(120):
            net.train()
            for a, b in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()
            loss = validate(net, data, F.cross_entropy, dr)
            if loss < best:
                best, best_state, best_epoch = loss, copy.deepcopy(net.state_dict()), epoch
            elif t.fixed and epoch > best_epoch + 5:
                break
    if t.fixed:
        net.load_state_dict(best_state)
    with torch.no_grad():
        return -float(F.cross_entropy(net(data.x_test), data.y_test))


@faulty("overfitting")
def polynomial_of_high_degree(t: Trial) -> float:
    """All products of three columns for forty rows."""
    g = generator(t.seed)
    x = torch.rand(340, 6, generator=g) * 2 - 1
    y = torch.sin(3 * x[:, :1]) + 0.4 * torch.randn(340, 1, generator=g)
    products = torch.stack([x[:, i] * x[:, j] * x[:, k] for i in range(6) for j in range(6) for k in range(6)], 1)
    powers = torch.cat([x[:, :1], x[:, :1] ** 2, x[:, :1] ** 3], 1)
    data = split(powers if t.fixed else torch.cat([powers, products], 1), y, 40)
    net = Net(data.x.shape[1], 1, hidden=64)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=50, size=10)
    return r2(net, data)


class Narrow(nn.Module):
    """A network with two units in its middle."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, width), nn.Linear(width, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc3(F.relu(self.fc2(self.fc1(x))))


@faulty("underfitting", "narrow-layer")
def two_units_in_the_middle(t: Trial) -> float:
    """Everything must pass two numbers."""
    data, net = digits(t.seed), Narrow(32 if t.fixed else 2)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=12)
    return accuracy(net, data)


@faulty("underfitting", "low-learning-rate", "too-few-epochs")
def least_squares_not_finished(t: Trial) -> float:
    """Correlated columns: after three epochs the directions of small variance are not learned."""
    g = generator(t.seed)
    x = torch.randn(800, 4, generator=g) @ torch.randn(4, 12, generator=g) + 0.1 * torch.randn(800, 12, generator=g)
    y = x @ torch.randn(12, 1, generator=g)
    x = (x - x.mean(0)) / x.std(0)
    data = split(x, (y - y.mean()) / y.std(), 600)
    net = Line(12, 1)
    fit(t, net, SGD(net.parameters(), lr=0.1 if t.fixed else 0.002), data, F.mse_loss, epochs=30 if t.fixed else 3)
    return r2(net, data)


# Schedules, clipping, accumulation, averages


@faulty("low-learning-rate")
def warm_up_longer_than_training(t: Trial) -> float:
    """A warm-up of 20,000 steps in a training of 240."""
    data, net = images(t.seed), ConvNet()
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    length = 20 if t.fixed else 20000
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / length))
    train_loader = loader(data)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(6):
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                schedule.step()
            validate(net, data, F.cross_entropy, dr)
    return accuracy(net, data)


@faulty("low-learning-rate")
def plateau_schedule_of_the_loss_with_max(t: Trial) -> float:
    """ReduceLROnPlateau(mode="max") is given the loss, and divides the rate in nearly every epoch."""
    data, net = images(t.seed), ConvNet()
    optimizer = SGD(net.parameters(), lr=0.03, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min" if t.fixed else "max", 0.1, patience=0)
    train_loader = loader(data)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(10):
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            schedule.step(validate(net, data, F.cross_entropy, dr))
    return accuracy(net, data)


@faulty("low-learning-rate")
def clipped_to_nothing(t: Trial) -> float:
    """Gradients are clipped to a norm of 0.001 and used by SGD."""
    data, net = images(t.seed), ConvNet()
    fit(t, net, SGD(net.parameters(), lr=0.1), data, epochs=5, clip=1.0 if t.fixed else 1e-3)
    return accuracy(net, data)


@faulty("high-learning-rate", "oscillation")
def sixteen_batches_added_up(t: Trial) -> float:
    """The gradients of 16 small batches are added, not averaged, at the rate of one batch."""
    data, net = images(t.seed), ConvNet()
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.8)
    step = 0
    with t.doctor(net, optimizer):
        for _ in range(10):
            for x, y in loader(data, 8):
                loss = F.cross_entropy(net(x), y)
                (loss / 16 if t.fixed else loss).backward()
                step += 1
                if step % 16 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
    return accuracy(net, data)


@faulty("high-learning-rate", "target-scale")
def loss_summed_over_pixels(t: Trial) -> float:
    """An autoencoder whose loss is a sum over 32 images of 64 pixels, at a rate for means."""
    data = images(t.seed)
    data = Data(data.x.flatten(1), data.x.flatten(1), data.x_test.flatten(1), data.x_test.flatten(1))
    net = Net(64, 64, hidden=32)
    reduction = "mean" if t.fixed else "sum"
    fit(
        t, net, SGD(net.parameters(), lr=0.5 if t.fixed else 0.02), data,
        lambda out, y: F.mse_loss(out, y, reduction=reduction), epochs=10,
    )  # fmt: skip
    return r2(net, data)


@faulty("evaluated-network")
def average_that_never_moves(t: Trial) -> float:
    """The average of the weights has a decay of 0.9999 in a training of 300 steps, and is what is used."""
    data, net = images(t.seed), ConvNet()
    average = copy.deepcopy(net)
    optimizer = Adam(net.parameters(), lr=3e-3)
    decay = 0.95 if t.fixed else 0.9999
    train_loader = loader(data)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(5):
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                with torch.no_grad():
                    for a, p in zip(average.parameters(), net.parameters(), strict=True):
                        a.mul_(decay).add_(p, alpha=1 - decay)
            validate(average, data, F.cross_entropy, dr)
    return accuracy(average, data)


@faulty("weights-reset")
def initialized_in_each_epoch(t: Trial) -> float:
    """`net.apply(initialize)` is called in the loop over the epochs instead of before it."""
    data, net = images(t.seed), ConvNet()
    optimizer = SGD(net.parameters(), lr=0.02, momentum=0.9)

    def initialize(layer: nn.Module) -> None:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)

    net.apply(initialize)
    train_loader = loader(data)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(6):
            if not t.fixed:
                net.apply(initialize)
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            validate(net, data, F.cross_entropy, dr)
    return accuracy(net, data)
