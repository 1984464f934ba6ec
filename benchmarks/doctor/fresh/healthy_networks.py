"""Healthy trainings of networks that look suspicious: frozen, normalized, fed with the right answers, in pairs."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.fresh.faulty_series import temperatures
from benchmarks.doctor.fresh.faulty_texts import Translator
from benchmarks.doctor.fresh.loop import train_epochs, tree_score
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound, r2
from benchmarks.doctor.unseen.loop import Net, generator, split
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

Adam = torch.optim.Adam


class Reviews(nn.Module):
    """Given vectors of words that are not trained, and a GRU."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.embed = nn.Embedding.from_pretrained(vectors, freeze=True, padding_idx=0)
        self.rnn, self.head = nn.GRU(vectors.shape[1], 24, batch_first=True), nn.Linear(24, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(self.embed(x))[0].mean(1))


@healthy_with_bound(lambda _: 0.9)
def fresh_frozen_vectors_of_words(t: Trial) -> float:
    """Vectors of 60 words whose first number is their mood; the class is the sign of the sum of the moods."""
    g = generator(t.seed)
    vectors = torch.randn(60, 12, generator=g)
    x = torch.randint(0, 60, (1200, 9), generator=g)
    data, net = split(x, (vectors[x][..., 0].sum(1) > 0).long(), 800), Reviews(vectors)
    train_epochs(t, net, Adam([p for p in net.parameters() if p.requires_grad], lr=5e-3), data, epochs=6)
    return accuracy(net, data)


@healthy_with_bound(lambda _: 0.9)
def fresh_teacher_forcing(t: Trial) -> float:
    """The decoder is always given the right last token; sentences of different length without their padding."""
    g = generator(t.seed)
    x = torch.randint(2, 8, (1000, 5), generator=g)
    length = torch.randint(3, 6, (1000, 1), generator=g)
    x = x.masked_fill(torch.arange(5) >= length, 0)
    y = torch.stack([F.pad(row[: int(n)].flip(0), (0, 5 - int(n))) for row, n in zip(x, length, strict=True)])
    previous = F.pad(y[:, :-1], (1, 0), value=1)
    net = Translator(hidden=48)
    optimizer = Adam(net.parameters(), lr=1e-2)
    with t.doctor(net, optimizer) as dr:
        for _ in range(14):
            for rows in torch.randperm(800).split(40):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x[rows], previous[rows]).flatten(0, 1), y[rows].flatten(), ignore_index=0)
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
            with torch.no_grad():
                out = net(x[800:], previous[800:])
            dr.validation(loss=float(F.cross_entropy(out.flatten(0, 1), y[800:].flatten(), ignore_index=0)))
    return float((out.argmax(2) == y[800:])[y[800:] != 0].float().mean())


@healthy_with_bound(lambda _: -0.35)
def fresh_critic_with_a_gradient_penalty(t: Trial) -> float:
    """WGAN-GP in two dimensions: the critic's loss is negative, and its gradients have gradients."""
    g = generator(t.seed)
    angle = torch.rand(1000, generator=g) * 6.283
    real = torch.stack([angle.cos(), angle.sin()], 1) + 1
    maker, critic = Net(4, 2, hidden=32), Net(2, 1, hidden=48)
    first, second = Adam(maker.parameters(), 4e-3, (0.0, 0.9)), Adam(critic.parameters(), 8e-3, (0.0, 0.9))
    with t.doctor(critic, second):
        for step in range(600):
            x, fake = real[torch.randint(0, 1000, (64,))], maker(torch.randn(64, 4))
            part = torch.rand(64, 1)
            between = (part * x + (1 - part) * fake.detach()).requires_grad_(True)
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            second.zero_grad()
            penalty = 2 * (slope.norm(dim=1) - 1).square().mean()
            (critic(fake.detach()).mean() - critic(x).mean() + penalty).backward()
            second.step()
            if step % 2 == 1:
                first.zero_grad()
                (-critic(fake).mean()).backward()
                first.step()
    with torch.no_grad():
        out = maker(torch.randn(500, 4))
    return -float((out.mean(0) - 1).norm()) - abs(float((out - 1).norm(dim=1).mean()) - 1)


@healthy_with_bound(lambda seed: tree_score(generate("binary", seed), margin=0.03))
def fresh_spectral_norm(t: Trial) -> float:
    """Each layer can stretch by 1 at most, so that scores stay small and the loss high."""
    data = generate("binary", t.seed)
    net = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(20, 48)), nn.ReLU(),
        parametrizations.spectral_norm(nn.Linear(48, 48)), nn.ReLU(),
        parametrizations.spectral_norm(nn.Linear(48, 2)),
    )  # fmt: skip
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=12)
    return accuracy(net, data)


def forecasts(seed: int) -> Data:
    """Return standardized windows of 24 days, and the day after."""
    series = temperatures(seed)
    windows = ((series - series[:1000].mean()) / series[:1000].std()).unfold(0, 25, 1)
    return Data(windows[:970, :24], windows[:970, 24:], windows[1030:, :24], windows[1030:, 24:])


class Dilated(nn.Module):
    """Causal convolutions over a window, with weight norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            parametrizations.weight_norm(nn.Conv1d(1 if i == 0 else 16, 16, 2, dilation=2**i)) for i in range(4)
        )
        self.head = nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None]
        for i, conv in enumerate(self.convs):
            x = F.relu(conv(F.pad(x, (2**i, 0))))
        return self.head(x[..., -1])


@healthy_with_bound(lambda seed: tree_score(forecasts(seed)))
def fresh_weight_norm(t: Trial) -> float:
    """A temporal convolutional network whose weights are a direction and a length."""
    data, net = forecasts(t.seed), Dilated()
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=10)
    return r2(net, data)


class Grouped(nn.Module):
    """Convolutions with group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 12, 3, padding=1), nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.norm1, self.norm2, self.fc = nn.GroupNorm(3, 12), nn.GroupNorm(4, 24), nn.Linear(24 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))
        return self.fc(F.adaptive_avg_pool2d(x, 2).flatten(1))


@healthy_with_bound(lambda seed: tree_score(images(seed), margin=0.03))
def fresh_batches_of_two(t: Trial) -> float:
    """Two images in each batch: the loss jumps between 0 and 5, and the network learns."""
    data, net = images(t.seed), Grouped()
    optimizer = Adam(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=1250)
    train_epochs(t, net, optimizer, data, epochs=2, size=2, after_step=schedule.step)
    return accuracy(net, data)
