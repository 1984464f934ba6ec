"""Three healthy trainings of projects: a probe on detached features, one long series in order, an ensemble in a net."""

from __future__ import annotations

import torch
from benchmarks.doctor.classroom.rows import generator, rows_of
from benchmarks.doctor.harness import Trial, healthy_with_bound, mlp
from benchmarks.doctor.unseen.loop import digits
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class ProbedAutoencoder(nn.Module):
    """An autoencoder, and a classifier of its code that does not change the code."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(64, 64, 16), mlp(16, 64, 64)
        self.probe = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encoder(x)
        return self.decoder(z), self.probe(z.detach())


@healthy_with_bound(lambda _: 0.88)
def projects_probe_on_detached_features(t: Trial) -> float:
    """A linear classifier reads the detached code of an autoencoder, to tell how good the code is."""
    data = digits(t.seed)
    net = ProbedAutoencoder()
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(10):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                out, scores = net(x)
                loss = F.mse_loss(out, x) + F.cross_entropy(scores, y)
                opt.zero_grad()
                loss.backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                out, scores = net(data.x_test)
            score = float((scores.argmax(1) == data.y_test).float().mean())
            dr.validation(loss=float(F.mse_loss(out, data.x_test)), score=score)
    return score


class Forecaster(nn.Module):
    """A GRU that returns its state, to go on from there."""

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(1, hidden, batch_first=True), nn.Linear(hidden, 1)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        out, state = self.gru(x, state)
        return self.head(out), state


@healthy_with_bound(lambda _: 0.8)
def projects_long_series_in_its_order(t: Trial) -> float:
    """Windows of 20 steps follow each other without shuffling, and the detached state goes on to the next one."""
    g = generator(t.seed)
    time = torch.arange(1201.0)
    phase = 6.2832 * torch.rand(8, 2, 1, generator=g)
    series = (0.35 * time + phase[:, 0]).sin() + 0.6 * (0.11 * time + phase[:, 1]).sin()
    series = (series + 0.2 * torch.randn(8, 1201, generator=g))[..., None]
    net = Forecaster()
    opt = optim.Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(5):
            net.train()
            state = None
            for start in range(0, 1000, 20):
                out, state = net(series[:, start : start + 20], state)
                state = state.detach()
                loss = F.mse_loss(out, series[:, start + 1 : start + 21])
                opt.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                opt.step()
            net.eval()
            with torch.no_grad():
                out, _ = net(series[:, 1000:1200], state)
            error = F.mse_loss(out, series[:, 1001:])
            dr.validation(loss=float(error))
    return float(1 - error / series[:, 1001:].var())


class BatchedMembers(nn.Module):
    """Networks whose weights are stacked, so that one product of matrices computes all of them."""

    def __init__(self, members: int, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.weight1 = nn.Parameter(torch.randn(members, inputs, hidden) * (2 / inputs) ** 0.5)
        self.bias1 = nn.Parameter(torch.zeros(members, 1, hidden))
        self.weight2 = nn.Parameter(torch.randn(members, hidden, outputs) * (1 / hidden) ** 0.5)
        self.bias2 = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(x @ self.weight1 + self.bias1)
        return h @ self.weight2 + self.bias2


@healthy_with_bound(lambda _: 0.94)
def projects_ensemble_in_one_network(t: Trial) -> float:
    """Eight networks learn at the same time, each from a part of the batch, and their losses are added."""
    data = digits(t.seed)
    members = 8
    net = BatchedMembers(members, 64, 32, 10)
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(10):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                drawn = (torch.rand(members, len(x)) < 0.7).float()
                errors = F.cross_entropy(net(x).flatten(0, 1), y.repeat(members), reduction="none")
                loss = (errors.view(members, -1) * drawn).mean(1).sum()
                opt.zero_grad()
                loss.backward()
                opt.step()
            net.eval()
            with torch.no_grad():
                mean = net(data.x_test).softmax(2).mean(0)
            score = float((mean.argmax(1) == data.y_test).float().mean())
            dr.validation(loss=float(F.nll_loss(mean.log(), data.y_test)), score=score)
    return score
