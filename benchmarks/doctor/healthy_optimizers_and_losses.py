"""Healthy trainings with noise, several optimizers, competing networks or unusual losses.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    batches,
    binary_accuracy,
    healthy,
    mlp,
    r2,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


def make_noisy(seed: int) -> Data:
    """Return a target of which nine tenths are noise."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1500, 5, generator=generator)
    y = x[:, :1] + 3 * torch.randn(1500, 1, generator=generator)
    y = (y - y.mean()) / y.std()
    return Data(x[:1000], y[:1000], x[1000:], y[1000:])


@healthy
def mostly_noise(t: Trial) -> float:
    data = make_noisy(t.seed)
    model = mlp(5, 8, 1)
    train(t, model, SGD(model.parameters(), lr=0.02), data, F.mse_loss)
    return r2(model, data)


@healthy
def mostly_noise_in_classes(t: Trial) -> float:
    noisy = make_noisy(t.seed)
    data = Data(noisy.x, (noisy.y[:, 0] > 0).long(), noisy.x_test, (noisy.y_test[:, 0] > 0).long())
    model = mlp(5, 16, 2)
    train(t, model, Adam(model.parameters(), lr=2e-3), data)
    return accuracy(model, data)


@healthy
def full_batch(t: Trial) -> float:
    data = generate("moons", t.seed)
    model = mlp(2, 32, 32, 2, act=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=1e-2)
    with t.doctor(model, optimizer):
        for _ in range(300):
            loss = F.cross_entropy(model(data.x), data.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model, data)


@healthy
def closures_of_lbfgs(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 16, 1, act=nn.Tanh)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=10)
    with t.doctor(model, optimizer):

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.mse_loss(model(data.x), data.y)
            loss.backward()
            return loss

        for _ in range(20):
            optimizer.step(closure)
    return r2(model, data)


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.body(x)))


@healthy
def an_optimizer_for_each_part(t: Trial) -> float:
    data = table("digits", t.seed)
    model = TwoParts()
    optimizers = SGD(model.body.parameters(), lr=0.05), Adam(model.head.parameters(), lr=5e-3)
    with t.doctor(model, optimizers[0]):
        for x, y in batches(data, 32, 250, t.seed):
            for optimizer in optimizers:
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for optimizer in optimizers:
                optimizer.step()
    return accuracy(model, data)


@healthy
def generator_of_a_gan(t: Trial) -> float:
    generator = torch.Generator().manual_seed(t.seed)
    generator_net, discriminator = mlp(4, 32, 2), mlp(2, 32, 1)
    generator_optimizer, discriminator_optimizer = (
        Adam(generator_net.parameters(), lr=2e-3),
        Adam(discriminator.parameters(), lr=2e-3),
    )
    loss = nn.BCEWithLogitsLoss()
    with t.doctor(generator_net, generator_optimizer):
        for _ in range(300):
            real = torch.randn(64, 2, generator=generator) * 0.5 + torch.tensor([2.0, -1.0])
            fake = generator_net(torch.randn(64, 4, generator=generator))
            discriminator_optimizer.zero_grad()
            wrong = loss(discriminator(fake.detach()), torch.zeros(64, 1))
            (loss(discriminator(real), torch.ones(64, 1)) + wrong).backward()
            discriminator_optimizer.step()
            generator_optimizer.zero_grad()
            loss(discriminator(fake), torch.ones(64, 1)).backward()
            generator_optimizer.step()
    with torch.no_grad():
        return -float((generator_net(torch.randn(256, 4)).mean(0) - torch.tensor([2.0, -1.0])).norm())


@healthy
def discriminator_of_a_gan(t: Trial) -> float:
    generator = torch.Generator().manual_seed(t.seed)
    generator_net, discriminator = mlp(4, 32, 2), mlp(2, 32, 1)
    generator_optimizer, discriminator_optimizer = (
        Adam(generator_net.parameters(), lr=2e-3),
        Adam(discriminator.parameters(), lr=2e-3),
    )
    with t.doctor(discriminator, discriminator_optimizer):
        for _ in range(300):
            real = torch.randn(64, 2, generator=generator) * 0.5 + torch.tensor([2.0, -1.0])
            fake = generator_net(torch.randn(64, 4, generator=generator))
            discriminator_optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(discriminator(real), torch.ones(64, 1)).backward()
            F.binary_cross_entropy_with_logits(discriminator(fake.detach()), torch.zeros(64, 1)).backward()
            discriminator_optimizer.step()
            generator_optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(discriminator(fake), torch.ones(64, 1)).backward()
            generator_optimizer.step()
    with torch.no_grad():
        return -float((generator_net(torch.randn(256, 4)).mean(0) - torch.tensor([2.0, -1.0])).norm())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(64, 16)
        self.decode = nn.Linear(16, 64)
        self.decode.weight = nn.Parameter(self.encode.weight.data.T.clone())
        self.bias = nn.Parameter(torch.zeros(64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(torch.tanh(self.encode(x)), self.encode.weight.T, self.bias)


@healthy
def tied_weights(t: Trial) -> float:
    data = table("digits", t.seed)
    data = Data(data.x, data.x, data.x_test, data.x_test)
    model = Tied()
    del model.decode
    train(t, model, Adam(model.parameters(), lr=5e-3), data, F.mse_loss)
    return r2(model, data)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.kind, self.size = nn.Linear(64, 32), nn.Linear(32, 10), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.relu(self.body(x))
        return self.kind(x), self.size(x)


@healthy
def two_losses_in_one(t: Trial) -> float:
    data = table("digits", t.seed)
    model = TwoHeads()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with t.doctor(model, optimizer):
        for x, y in batches(data, 32, 300, t.seed):
            optimizer.zero_grad()
            kind, size = model(x)
            (F.cross_entropy(kind, y) + 0.3 * F.mse_loss(size, x.mean(1, keepdim=True))).backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(data.x_test)[0].argmax(1) == data.y_test).float().mean())


@healthy
def one_unit_and_two_classes(t: Trial) -> float:
    data = table("breast_cancer", t.seed)
    model = nn.Sequential(mlp(30, 16, 1), nn.Sigmoid())
    criterion = nn.BCELoss()
    train(t, model, Adam(model.parameters(), lr=5e-3), data, lambda out, y: criterion(out[:, 0], y.float()))
    return binary_accuracy(model, data, 0.5)


@healthy
def positive_targets_and_a_relu(t: Trial) -> float:
    linear = generate("regression", t.seed)
    data = Data(linear.x, (linear.y + 0.5).clamp(min=0), linear.x_test, (linear.y_test + 0.5).clamp(min=0))
    model = mlp(20, 32, 1)
    nn.init.constant_(model[2].bias, 0.5)
    model.append(nn.ReLU())
    train(t, model, Adam(model.parameters(), lr=5e-3), data, F.mse_loss)
    return r2(model, data)


@healthy
def raw_columns_and_batch_norm(t: Trial) -> float:
    data = table("wine", t.seed, False)
    model = nn.Sequential(nn.BatchNorm1d(13), mlp(13, 16, 3))
    train(t, model, Adam(model.parameters(), lr=1e-2), data, size=32, steps=150)
    return accuracy(model, data)


@healthy
def softmax_and_the_squared_error(t: Trial) -> float:
    data = table("iris", t.seed)
    model = nn.Sequential(mlp(4, 16, 3), nn.Softmax(1))
    train(t, model, Adam(model.parameters(), lr=2e-2), data, lambda out, y: F.mse_loss(out, F.one_hot(y, 3).float()))
    return accuracy(model, data)


@healthy
def sparse_codes_of_saturated_sigmoids(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 64, 10, act=nn.Sigmoid)
    nn.init.normal_(model[0].weight, std=0.6)
    train(t, model, Adam(model.parameters(), lr=5e-3), data)
    return accuracy(model, data)


@healthy
def learned_variances(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 2)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        mean, log_var = out[:, :1], out[:, 1:]
        return 0.5 * (log_var + (y - mean) ** 2 / log_var.exp()).mean()

    train(t, model, Adam(model.parameters(), lr=5e-3), data, loss, steps=300)
    return r2(model[0:2].append(Slice(model[2])), data)


class Slice(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)[:, :1]
