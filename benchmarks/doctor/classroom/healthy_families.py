"""Eight healthy trainings that look like a mistake: losses that rise, experts without gradients, rows that repeat."""

from __future__ import annotations

import copy
import math

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.further.shapes import negative_energy_distance
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound, mlp
from benchmarks.doctor.unseen.loop import digits, fit
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


@healthy_with_bound(lambda _: -0.05)
def classroom_divergence_that_is_annealed(t: Trial) -> float:
    """The weight of the divergence grows from 0 to 1, and the loss of a variational autoencoder rises with it."""
    g = generator(t.seed)
    angle = 6.2832 * torch.rand(1000, 1, generator=g)
    x = 1.5 * torch.cat([angle.cos(), angle.sin(), (2 * angle).sin() * 0.5], 1)
    x = x + 0.1 * torch.randn(1000, 3, generator=g)
    encoder, decoder = mlp(3, 48, 4), mlp(2, 48, 48, 3)
    net = nn.ModuleList([encoder, decoder])
    opt = optim.Adam(net.parameters(), lr=3e-3)
    epochs = 30
    with t.doctor(net, opt) as dr:
        for epoch in range(epochs):
            beta = min(1.0, epoch / 15)
            for rows in torch.randperm(700).split(35):
                mean, log_variance = encoder(x[rows]).chunk(2, 1)
                out = decoder(mean + (0.5 * log_variance).exp() * torch.randn_like(mean))
                error = (out - x[rows]).square().sum(1).mean() / 0.2
                divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean()
                opt.zero_grad()
                (error + beta * divergence).backward()
                opt.step()
            with torch.no_grad():
                mean = encoder(x[700:]).chunk(2, 1)[0]
                dr.validation(loss=float((decoder(mean) - x[700:]).square().sum(1).mean()))
    with torch.no_grad():
        return negative_energy_distance(decoder(torch.randn(400, 2, generator=g)), x[700:])


class Ranking(nn.Module):
    """Vectors of users and items, whose product is the score of an item."""

    def __init__(self, users: int, items: int, width: int = 8) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(users, width), nn.Embedding(items, width)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.users(user) * self.items(item)).sum(-1)


@healthy_with_bound(lambda _: 0.8)
def classroom_pairs_of_items_ranked(t: Trial) -> float:
    """A recommender is trained on differences of scores: there are no targets, and the loss begins at log 2."""
    g = generator(t.seed)
    taste, style = torch.randn(80, 3, generator=g), torch.randn(60, 3, generator=g)
    likes = torch.rand(80, 60, generator=g) < torch.sigmoid(2 * taste @ style.T - 1)
    is_train = torch.rand(80, 60, generator=g) < 0.75
    user, item = (likes & is_train).nonzero().T
    disliked = (~likes & is_train).float()
    net = Ranking(80, 60)
    opt = optim.Adam(net.parameters(), lr=1e-2, weight_decay=1e-4)
    with t.doctor(net, opt):
        for _ in range(20):
            for rows in torch.randperm(len(user)).split(64):
                negative = torch.multinomial(disliked[user[rows]], 1).squeeze(1)
                loss = -F.logsigmoid(net(user[rows], item[rows]) - net(user[rows], negative)).mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
    with torch.no_grad():
        scores = net.users.weight @ net.items.weight.T
    positive, negative = scores[likes & ~is_train], scores[~likes & ~is_train]
    return float((positive[:, None] > negative).float().mean())


@healthy_with_bound(lambda _: 0.94)
def classroom_average_put_in_and_taken_out(t: Trial) -> float:
    """The average of the weights is put into the network for each validation, and taken out again."""
    data = digits(t.seed)
    net = mlp(64, 48, 10)
    opt = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    average = copy.deepcopy(net.state_dict())
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(10):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                opt.zero_grad()
                F.cross_entropy(net(data.x[rows]), data.y[rows]).backward()
                opt.step()
                with torch.no_grad():
                    for name, value in net.state_dict().items():
                        average[name].lerp_(value, 0.05)
            backup = copy.deepcopy(net.state_dict())
            net.load_state_dict(average)
            report(dr, net, data)
            net.load_state_dict(backup)
    return accuracy(net, data)


class Experts(nn.Module):
    """A network for each kind of device; a batch is of one device."""

    def __init__(self, columns: int, devices: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(mlp(columns, 32, 1) for _ in range(devices))

    def forward(self, x: Tensor, device: int) -> Tensor:
        return self.experts[device](x)


@healthy_with_bound(lambda _: 0.85)
def classroom_batches_of_one_device(t: Trial) -> float:
    """Each batch trains the network of its device, and three of four networks have no gradient in it."""
    g = generator(t.seed)
    x, slope = torch.randn(4, 400, 6, generator=g), torch.randn(4, 6, 1, generator=g)
    y = torch.tanh(x @ slope) + 0.1 * torch.randn(4, 400, 1, generator=g)
    net = Experts(6, 4)
    opt = optim.Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, opt) as dr:
        for _ in range(40):
            net.train()
            for device in torch.randperm(4, generator=g).tolist():
                for rows in torch.randperm(300, generator=g).split(30):
                    opt.zero_grad()
                    F.mse_loss(net(x[device, rows], device), y[device, rows]).backward()
                    opt.step()
            net.eval()
            with torch.no_grad():
                out = torch.stack([net(x[device, 300:], device) for device in range(4)])
            dr.validation(loss=float(F.mse_loss(out, y[:, 300:])))
    return float(1 - F.mse_loss(out, y[:, 300:]) / y[:, 300:].var())


@healthy_with_bound(lambda _: 0.97)
def classroom_level_that_hardly_changes(t: Trial) -> float:
    """The level of a reservoir is nearly that of the day before, so that one column nearly is the target."""
    g = generator(t.seed)
    rain = torch.randn(1000, generator=g)
    level = [torch.zeros(())]
    for day in range(1, 1000):
        level.append(0.95 * level[-1] + 0.1 * rain[day - 1] + 0.05 * math.sin(day / 30))
    values = torch.stack(level)
    values = (values - values.mean()) / values.std()
    x = torch.stack([values[1:-1], values[:-2], rain[1:-1]], 1)
    data = split(x, values[2:, None])
    net = mlp(3, 32, 1)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=20)
    return explained(net, data)


@healthy_with_bound(lambda _: 0.87)
def classroom_few_answers_to_a_questionnaire(t: Trial) -> float:
    """Four questions with three answers each have 81 different rows: each occurs often, in both parts."""
    g = generator(t.seed)
    answers = torch.randint(0, 3, (1200, 4), generator=g)
    worth = torch.tensor([[-2.0, 0, 2], [-1, 1, 0], [2, 0, -2], [0, -1, 1]])
    total = worth[torch.arange(4), answers].sum(1) + 0.6 * torch.randn(1200, generator=g)
    data = split(F.one_hot(answers, 3).flatten(1).float(), (total > 0).long())
    net = mlp(12, 24, 2)
    fit(t, net, optim.Adam(net.parameters(), lr=3e-3), data, epochs=12)
    return accuracy(net, data)


@healthy_with_bound(lambda _: 0.65)
def classroom_gaps_with_an_indicator(t: Trial) -> float:
    """Gaps are zeros, and a column of zeros and ones for each measurement tells where they are."""
    g = generator(t.seed)
    raw = torch.randn(1500, 6, generator=g)
    is_gap = torch.rand(1500, 6, generator=g) < torch.sigmoid(raw - 1)
    y = raw[:, 0] + torch.tanh(2 * raw[:, 1]) + 0.6 * raw[:, 2] + 0.3 * torch.randn(1500, generator=g)
    data = split(torch.cat([raw.masked_fill(is_gap, 0.0), is_gap.float()], 1), y[:, None])
    net = mlp(12, 48, 1)
    fit(t, net, optim.Adam(net.parameters(), lr=2e-3), data, F.mse_loss, epochs=12)
    return explained(net, data)


@healthy_with_bound(lambda _: 0.85)
def classroom_rain_of_mostly_dry_days(t: Trial) -> float:
    """Six of ten targets are exactly zero, as it did not rain, and the output is a softplus."""
    g = generator(t.seed)
    x = torch.randn(1200, 6, generator=g)
    amount = 1.5 * x[:, 0] + x[:, 1] * x[:, 2] - 0.4 + 0.3 * torch.randn(1200, generator=g)
    data: Data = split(x, amount.clamp(min=0)[:, None])
    net = nn.Sequential(mlp(6, 64, 1), nn.Softplus())
    opt = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(20):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                opt.zero_grad()
                F.mse_loss(net(a), b).backward()
                opt.step()
            report(dr, net, data)
    return explained(net, data)
