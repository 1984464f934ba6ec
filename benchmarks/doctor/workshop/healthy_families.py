"""Healthy workshop trainings: sets without positions, growing images, weights that are outputs, noisy weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.further.shapes import outlines
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound, mlp
from benchmarks.doctor.unseen.loop import digits, fit
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset


class SetEncoder(nn.Module):
    """Attention among the points of a set, whose order has no meaning, so that there are no positions."""

    def __init__(self, columns: int, width: int = 32) -> None:
        super().__init__()
        self.point = nn.Linear(columns, width)
        self.block = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True)
        self.head = mlp(width, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.point(x)).amax(1))


@healthy_with_bound(lambda _: 0.9)
def workshop_sets_without_positions(t: Trial) -> float:
    """The width of a cloud of points is learned by a transformer that has no positions, since points have no order."""
    g = generator(t.seed)
    x = torch.randn(1200, 7, 2, generator=g)
    y = x[..., 0].amax(1) - x[..., 0].amin(1)
    data = split(x, ((y - y.mean()) / y.std())[:, None])
    net = SetEncoder(2)
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, F.mse_loss, epochs=15)
    return explained(net, data)


@healthy_with_bound(lambda _: 0.85)
def workshop_images_that_grow(t: Trial) -> float:
    """The images of the first epochs are 6 x 6, then 9 x 9 and at last 12 x 12: the network ends in a mean."""
    data = outlines(t.seed)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for epoch in range(12):
            side = (6, 9, 12)[min(epoch // 3, 2)]
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                x = F.interpolate(data.x[rows], size=side, mode="bilinear", antialias=True)
                optimizer.zero_grad()
                F.cross_entropy(net(x), data.y[rows]).backward()
                optimizer.step()
            report(dr, net, data)
    return accuracy(net, data)


class WeightWriter(nn.Module):
    """A network that writes the weights of another one, which is then applied to the remaining columns."""

    def __init__(self, context: int, columns: int, hidden: int = 8) -> None:
        super().__init__()
        self.context, self.columns, self.hidden = context, columns, hidden
        self.writer = mlp(context, 32, hidden * (columns + 2))

    def forward(self, x: Tensor) -> Tensor:
        context, inputs = x[:, : self.context], x[:, self.context :]
        weight, bias, readout = self.writer(context).split([self.hidden * self.columns, self.hidden, self.hidden], 1)
        h = torch.tanh(torch.einsum("bhc,bc->bh", weight.view(-1, self.hidden, self.columns), inputs) + bias)
        return (h * readout).sum(1, keepdim=True)


@healthy_with_bound(lambda _: 0.85)
def workshop_weights_written_by_a_network(t: Trial) -> float:
    """A hypernetwork: the weights that are applied to the measurements are outputs, not parameters."""
    g = generator(t.seed)
    context, inputs = torch.rand(1500, 2, generator=g) * 2 - 1, torch.randn(1500, 3, generator=g)
    slope = torch.stack([context[:, 0], context[:, 1], context[:, 0] * context[:, 1]], 1)
    y = (slope * inputs).sum(1) + 0.1 * torch.randn(1500, generator=g)
    data = split(torch.cat([context, inputs], 1), y[:, None])
    net = WeightWriter(2, 3)
    fit(t, net, optim.Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=20)
    return explained(net, data)


@healthy_with_bound(lambda _: 0.95)
def workshop_noise_added_to_the_weights(t: Trial) -> float:
    """Langevin dynamics: each update adds noise to the weights, and the predictions of many epochs are averaged."""
    data = digits(t.seed)
    net = mlp(64, 48, 10)
    rate, temperature = 0.05, 2e-5
    optimizer = optim.SGD(net.parameters(), lr=rate, weight_decay=1e-3)
    probabilities = torch.zeros(len(data.x_test), 10)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for epoch in range(20):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
                optimizer.step()
                with torch.no_grad():
                    for p in net.parameters():
                        p.add_(torch.randn_like(p), alpha=(2 * rate * temperature) ** 0.5)
            report(dr, net, data)
            if epoch >= 8:
                with torch.no_grad():
                    probabilities += net(data.x_test).softmax(1)
    return float((probabilities.argmax(1) == data.y_test).float().mean())


class Simulation(IterableDataset):
    """Batches of a simulation that never repeats a row: the range of a throw, by its angle, its speed and the wind."""

    def __init__(self, seed: int, batches: int) -> None:
        self.g, self.batches = generator(seed), batches

    def draw(self, rows: int) -> tuple[Tensor, Tensor]:
        """Return the standardized conditions of throws, and their standardized ranges."""
        u = torch.rand(rows, 3, generator=self.g) * 2 - 1
        angle, speed, wind = 0.8 + 0.6 * u[:, 0], 10 + 4 * u[:, 1], 2 * u[:, 2]
        flight = 2 * speed * angle.sin() / 9.81
        reached = (speed * angle.cos() + wind) * flight
        return u * 1.73, (reached[:, None] - 8.5) / 5.5

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.batches):
            yield self.draw(32)


@healthy_with_bound(lambda _: 0.97)
def workshop_rows_of_a_simulation(t: Trial) -> float:
    """Each row is used once: a data set without a length draws new rows for each batch."""
    simulation = Simulation(t.seed, 60)
    x_test, y_test = simulation.draw(400)
    net = mlp(3, 48, 48, 1)
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, validation=(x_test, y_test)) as dr:
        for _ in range(12):
            net.train()
            for x, y in DataLoader(simulation, batch_size=None):
                optimizer.zero_grad()
                F.mse_loss(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(x_test), y_test)))
    with torch.no_grad():
        return float(1 - F.mse_loss(net(x_test), y_test) / y_test.var())
