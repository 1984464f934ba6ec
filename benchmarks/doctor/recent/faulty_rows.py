"""Faulty trainings whose rows are wrong: splits, missing labels, glitches, spectra, sampling rates, colors."""

from __future__ import annotations

import math

import torch
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.fresh.loop import TwoConvs, evaluate, train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty, r2
from benchmarks.doctor.recent.loop import held_out
from benchmarks.doctor.unseen.loop import Net, generator, split
from torch import nn
from torch.nn import functional as F

Adam = torch.optim.Adam


@faulty("leaking-rows", "near-duplicates", "overlapping-windows")
def recent_windows_split_at_random(t: Trial) -> float:
    """Windows that share 23 of 24 hours are in both parts: validation rows have been seen one hour later."""
    g = generator(t.seed)
    hours = torch.arange(3000, dtype=torch.float32)
    slow = torch.randn(3030, generator=g).unfold(0, 31, 1).mean(1) * 31**0.5
    windows = (torch.sin(hours * 2 * math.pi / 24) * 1.5 + slow).unfold(0, 64, 1)
    x, y = windows[:, :24], windows[:, 63:]
    future, order = split(x, y, 1600), torch.randperm(1600, generator=g)
    rows = split(x[:1600], y[:1600], 1000) if t.fixed else split(x[order], y[order], 1000)
    net = Net(24, 1, hidden=96, layers=2)
    epochs = 5 if t.fixed else 80  # the loss of rows that leak never rises
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), rows, F.mse_loss, epochs=epochs, size=64)
    return -abs(r2(net, rows) - r2(net, future))


class Ratings(nn.Module):
    """Vectors of users and items."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(150, 8), nn.Embedding(60, 8)
        self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([self.users(x[:, 0]), self.items(x[:, 1])], 1))


@faulty("absent-categories", "shifted-rows", "unknown-tokens", "recoded-values", "fading-columns", "untrained-vectors")
def recent_users_of_validation_never_trained(t: Trial) -> float:
    """The split is by users, whose vectors are looked up by number: those of validation are as they were drawn."""
    g = generator(t.seed)
    x = torch.stack([torch.randint(0, 150, (4000,), generator=g), torch.randint(0, 60, (4000,), generator=g)], 1)
    kindness, quality = torch.randn(150, generator=g), 0.5 * torch.randn(60, generator=g)
    y = (kindness[x[:, 0]] + quality[x[:, 1]] + 0.3 * torch.randn(4000, generator=g))[:, None]
    is_held_out = torch.rand(4000, generator=g) < 0.25 if t.fixed else x[:, 0] >= 112
    data = Data(x[~is_held_out], y[~is_held_out], x[is_held_out], y[is_held_out])
    net = Ratings()
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=8, size=64)
    return r2(net, data)


@faulty("filled-targets", "label-noise", "missing-targets")
def recent_missing_labels_become_class_zero(t: Trial) -> float:
    """Half of the rows have no label (-1), and `clamp(min=0)` or `fillna(0)` makes them the first class."""
    full = generate("table", t.seed)
    g = generator(t.seed)

    def label(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        is_missing = torch.rand(len(y), generator=g) < 0.5
        return (x[~is_missing], y[~is_missing]) if t.fixed else (x, y.masked_fill(is_missing, 0))

    data = Data(*label(full.x, full.y), *label(full.x_test, full.y_test))
    net = Net(20, 5)
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=10)
    return accuracy(net, full)


@faulty("inputs", "input-outliers", "constant-columns", "unscaled-columns")
def recent_one_glitch_in_each_column(t: Trial) -> float:
    """A sensor wrote 100000 once in each column, and the columns are scaled from their minimum to their maximum."""
    clean = generate("table", t.seed)
    g = generator(t.seed)
    x = clean.x.clone()
    x[torch.randint(0, len(x), (20,), generator=g), torch.arange(20)] = 1e5
    if t.fixed:
        low, high = clean.x.quantile(0.01, 0), clean.x.quantile(0.99, 0)
        x = x.clamp(low, high)
    low, high = x.amin(0), x.amax(0)
    data = Data((x - low) / (high - low), clean.y, (clean.x_test - low) / (high - low), clean.y_test)
    net = Net(20, 5)
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=12)
    return accuracy(net, data)


@faulty("inputs", "skewed-inputs", "input-outliers")
def recent_power_spectra_without_a_logarithm(t: Trial) -> float:
    """Spectra of power cover nine decades: nearly all numbers are nearly zero, and a few are huge."""
    g = generator(t.seed)
    y = torch.randint(0, 4, (900,), generator=g)
    shape = 1.5 * torch.randn(4, 8, 1, generator=g)
    loudness = 3 * torch.randn(900, 1, 1, generator=g)
    power = (shape[y] + loudness + 1.2 * torch.randn(900, 8, 8, generator=g)).exp()[:, None]
    x = (power.log() / 3) if t.fixed else power / power.mean()
    data, net = split(x, y, 650), TwoConvs(classes=4)
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=8)
    return accuracy(net, data)


def tones(rows: int, g: torch.Generator, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 64 samples (N, 1, 64) of tones in noise at a sampling rate, and the class of their pitch."""
    y = torch.randint(0, 5, (rows,), generator=g)
    pitch = 0.03 * 1.6 ** (y + 0.3 * torch.rand(rows, generator=g))
    phase = torch.rand(rows, 1, generator=g) * 6.28
    x = torch.sin(2 * math.pi * pitch[:, None] * torch.arange(64) / rate + phase)
    return (x + 0.3 * torch.randn(rows, 64, generator=g))[:, None], y


class Listener(nn.Module):
    """Two convolutions over time, and the maximum of each channel."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(1, 16, 9, stride=2), nn.Conv1d(16, 24, 5)
        self.head = nn.Linear(24, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.conv2(F.relu(self.conv1(x)))).mean(2))


@faulty("shifted-rows", "evaluated-inputs", "sampling-rate")
def recent_validation_at_another_sampling_rate(t: Trial) -> float:
    """Recordings of training have 16000 samples in a second, those of validation 25600: each pitch is lower."""
    g = generator(t.seed)
    data = Data(*tones(700, g, 1.0), *tones(300, g, 1.0 if t.fixed else 1.6))
    net = Listener()
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=10)
    return accuracy(net, data)


@faulty("shifted-rows", "evaluated-inputs", "swapped-channels")
def recent_blue_and_red_swapped_in_validation(t: Trial) -> float:
    """Training reads images with PIL, validation with OpenCV, whose channels are in the other order."""
    g = generator(t.seed)
    y = torch.randint(0, 6, (1000,), generator=g)
    color = torch.tensor([[0.8, 0.4, 0.2], [0.2, 0.4, 0.8], [0.5, 0.8, 0.3]])[y % 3, :, None, None]
    is_wide = (y >= 3)[:, None, None, None]
    ramp = torch.linspace(-0.3, 0.3, 8)
    x = color + torch.where(is_wide, ramp[None, None, None], ramp[None, None, :, None])
    x = (x + 0.25 * torch.randn(1000, 3, 8, 8, generator=g)).clamp(0, 1)
    data = split(x, y, 700)
    if not t.fixed:
        data = Data(data.x, data.y, data.x_test.flip(1), data.y_test)
    net = TwoConvs(channels=3, classes=6)
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=6)
    return evaluate(net, held_out(data))[1]
