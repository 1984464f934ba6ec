"""Faulty trainings on series and angles: windows, scales, leaks, states."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.fresh.loop import train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty, r2
from benchmarks.doctor.unseen.loop import Net, generator, split
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


def temperatures(seed: int, days: int = 1600) -> torch.Tensor:
    """Return a series with two waves and correlated noise, of mean 14 and standard deviation near 7."""
    g = generator(seed)
    time = torch.arange(days).float()
    noise = torch.randn(days, generator=g)
    for i in range(1, days):
        noise[i] += 0.7 * noise[i - 1]
    return 14 + 8 * torch.sin(time / 12) + 3 * torch.sin(time / 5 + 1) + 1.2 * noise


class Forecaster(nn.Module):
    """A GRU over a window, and a linear layer on its last state."""

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(1, hidden, batch_first=True), nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x[..., None])[0][:, -1])


@faulty("shifted-rows", "shifted-targets", "target-scale")
def fresh_validation_targets_in_degrees(t: Trial) -> float:
    """The training rows are standardized together with their targets; of the validation rows only the inputs are."""
    series = temperatures(t.seed)
    windows = series.unfold(0, 25, 1)
    mean, std = series[:1000].mean(), series[:1000].std()
    scaled = (windows - mean) / std
    last = (scaled if t.fixed else windows)[1030:, 24:]
    data = Data(scaled[:970, :24], scaled[:970, 24:], scaled[1030:, :24], last)
    net = Forecaster()
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=5)
    return r2(net, data)


@faulty("circular-target", "underfitting")
def fresh_angles_as_numbers(t: Trial) -> float:
    """The squared error of angles from -180 to 180 degrees: the network averages where both meet."""
    g = generator(t.seed)
    angle = (2 * torch.rand(1200, 1, generator=g) - 1) * torch.pi
    places = 2 * torch.pi * torch.rand(8, generator=g)
    x = torch.exp(2 * torch.cos(angle - places) - 2) + 0.15 * torch.randn(1200, 8, generator=g)
    x = (x - x.mean(0)) / x.std(0)
    y = torch.cat([angle.sin(), angle.cos()], 1) if t.fixed else angle
    data, net = split(x, y, 800), Net(8, y.shape[1], hidden=48)
    train_epochs(t, net, Adam(net.parameters(), lr=4e-3), data, F.mse_loss, epochs=12)
    with torch.no_grad():
        out = net(data.x_test)
    predicted = torch.atan2(out[:, 0], out[:, 1]) if t.fixed else out[:, 0]
    error = predicted - angle[800:, 0]
    return -float(torch.atan2(error.sin(), error.cos()).abs().mean())


@faulty("lost-scale", "no-signal", "underfitting")
def fresh_amplitudes_normalized_away(t: Trial) -> float:
    """Each recording is standardized by itself, and what tells the classes apart is how loud it is."""
    g = generator(t.seed)
    y = torch.randint(0, 3, (900,), generator=g)
    loudness = torch.tensor([0.5, 1.0, 2.0])[y] * (0.2 * torch.randn(900, generator=g)).exp()
    time = torch.arange(48) / 6
    phase = 6.28 * torch.rand(900, 1, generator=g)
    x = loudness[:, None] * (torch.sin(time + phase) + 0.5 * torch.randn(900, 48, generator=g))
    x = x / x[:600].std() if t.fixed else (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
    data = split(x[:, None], y, 600)
    net = nn.Sequential(
        nn.Conv1d(1, 12, 5), nn.ReLU(), nn.Conv1d(12, 24, 5, stride=2), nn.ReLU(),
        nn.AdaptiveMaxPool1d(4), nn.Flatten(), nn.Linear(96, 3),
    )  # fmt: skip
    train_epochs(t, net, Adam(net.parameters(), lr=2e-3), data, epochs=8)
    return accuracy(net, data)
