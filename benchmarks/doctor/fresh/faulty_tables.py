"""Faulty trainings on tables, ratings and rare classes: encodings, weights, pairs, tails."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data
from benchmarks.doctor.fresh.loop import report, train_epochs
from benchmarks.doctor.harness import Trial, accuracy, faulty, r2
from benchmarks.doctor.unseen.loop import Net, f1, generator, split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@faulty("fading-columns", "target-in-inputs", "shifted-rows")
def fresh_shops_encoded_by_their_own_target(t: Trial) -> float:
    """A column is the mean target of the row's shop, computed with the row itself: most shops have two rows."""
    g = generator(t.seed)
    x = torch.randn(1200, 6, generator=g)
    shop = torch.randint(0, 400, (1200,), generator=g)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + 0.8 * torch.randn(1200, generator=g) > 0).long()
    is_source = torch.arange(1200) < 800
    if t.fixed:  # other rows than those that are trained on
        is_source = torch.arange(1200) < 250
    first = 250 if t.fixed else 0
    sums = torch.zeros(400).index_add(0, shop[is_source], y[is_source].float())
    counts = torch.zeros(400).index_add(0, shop[is_source], torch.ones(int(is_source.sum())))
    mean = torch.where(counts > 0, sums / counts.clamp(min=1), 0.5)
    x = torch.cat([x, 2 * mean[shop, None] - 1], 1)
    data, net = Data(x[first:800], y[first:800], x[800:], y[800:]), Net(7, 2, hidden=32)
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, epochs=10)
    return accuracy(net, data)


@faulty("double-weighting")
def fresh_rare_class_corrected_twice(t: Trial) -> float:
    """A sampler that draws both classes equally often, and the weights of the classes in the loss."""
    g = generator(t.seed)
    x = torch.randn(3000, 8, generator=g)
    y = (x[:, 0] + x[:, 1] + 0.7 * torch.randn(3000, generator=g) > 2.6).float()[:, None]
    data, net = split(x, y, 2000), Net(8, 1, hidden=24)
    rate = float(data.y.mean())
    sampler = WeightedRandomSampler(torch.where(data.y[:, 0] > 0, 1 / rate, 1 / (1 - rate)).tolist(), len(data.y))
    rows = DataLoader(TensorDataset(data.x, data.y), 50, sampler=sampler)
    pos_weight = torch.tensor(1.0 if t.fixed else (1 - rate) / rate)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(6):
            net.train()
            for x, y in rows:
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(net(x), y, pos_weight=pos_weight).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                loss = float(F.binary_cross_entropy_with_logits(net(data.x_test), data.y_test))
            dr.validation(loss=loss, score=f1(net, data))
    return f1(net, data)


class Factors(nn.Module):
    """A score of a user for a film: the product of their vectors."""

    def __init__(self, users: int = 80, films: int = 80) -> None:
        super().__init__()
        self.users, self.films = nn.Embedding(users, 6), nn.Embedding(films, 6)
        self.bias = nn.Embedding(films, 1)
        for table in (self.users, self.films, self.bias):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        product = (self.users(pair[:, 0]) * self.films(pair[:, 1])).sum(1)
        return product + self.bias(pair[:, 1])[:, 0]


@faulty("constant-targets", "target-kind", "collapsed-outputs", "constant-outputs")
def fresh_clicks_without_the_films_not_clicked(t: Trial) -> float:
    """A recommender is trained on clicks only, all of them with the label 1."""
    g = generator(t.seed)
    u, v = torch.randn(80, 3, generator=g), torch.randn(80, 3, generator=g)
    is_click = u @ v.T + 0.3 * torch.randn(80, 80, generator=g) > 1.2
    clicks = is_click.nonzero()
    clicks = clicks[torch.randperm(len(clicks), generator=g)]
    held_out, clicks = clicks[:300], clicks[300:]
    net = Factors()
    optimizer = Adam(net.parameters(), lr=2e-2)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for part in clicks[torch.randperm(len(clicks))].split(64):
                pair, y = part, torch.ones(len(part))
                if t.fixed:
                    others = torch.stack([part[:, 0], torch.randint(0, 80, (len(part),))], 1)
                    pair, y = torch.cat([part, others]), torch.cat([y, torch.zeros(len(part))])
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(net(pair), y).backward()
                optimizer.step()
    others = (~is_click).nonzero()
    others = others[torch.randperm(len(others), generator=g)[:300]]
    with torch.no_grad():
        return float((net(held_out)[:, None] > net(others)[None]).float().mean())


@faulty("filled-targets", "missing-targets", "zero-filled-targets")
def fresh_missing_ratings_are_zeros(t: Trial) -> float:
    """A matrix of ratings is filled with zeros where nobody rated, and the zeros are targets like the others."""
    g = generator(t.seed)
    u, v = torch.randn(80, 2, generator=g), torch.randn(80, 2, generator=g)
    rating = 3 + (u @ v.T) + 0.3 * torch.randn(80, 80, generator=g)
    is_rated = torch.rand(80, 80, generator=g) < 0.3
    pair = torch.cartesian_prod(torch.arange(80), torch.arange(80))
    held_out = pair[~is_rated.flatten()][:2000]
    used = pair[is_rated.flatten()] if t.fixed else pair
    y = torch.where(is_rated, rating, 0.0)[used[:, 0], used[:, 1]]
    data = Data(used, y, held_out, rating[held_out[:, 0], held_out[:, 1]])
    net = Factors()
    nn.init.constant_(net.bias.weight, 3.0 if t.fixed else 0.9)
    train_epochs(
        t, net, Adam(net.parameters(), lr=2e-2), data, F.mse_loss, epochs=10 if t.fixed else 3, size=64
    )  # fmt: skip
    return r2(net, data)


@faulty("target-scale", "target-outliers", "skewed-targets")
def fresh_incomes_without_a_logarithm(t: Trial) -> float:
    """Incomes differ by a factor of 1,000, and their squared errors are those of the few largest."""
    g = generator(t.seed)
    x = torch.randn(1200, 8, generator=g)
    log_income = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.3 * torch.randn(1200, generator=g)
    income = (1.5 * log_income).exp()[:, None]
    y = income.log() if t.fixed else income / income[:800].mean()
    data, net = split(x, y, 800), Net(8, 1)
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=12)
    with torch.no_grad():
        out = net(data.x_test)[:, 0]
    order = torch.stack([out.argsort().argsort(), data.y_test[:, 0].argsort().argsort()]).float()
    return float(torch.corrcoef(order)[0, 1])


class Tower(nn.Module):
    """Categories by embeddings, next to columns of numbers."""

    def __init__(self, sizes: tuple[int, ...], numbers: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, 6) for size in sizes)
        self.fc1, self.fc2 = nn.Linear(6 * len(sizes) + numbers, 32), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        vectors = [table(x[:, i].long()) for i, table in enumerate(self.tables)]
        return self.fc2(F.relu(self.fc1(torch.cat([*vectors, x[:, len(vectors) :]], 1))))


@faulty("recoded-values", "shifted-rows", "recoded-categories")
def fresh_categories_coded_apart(t: Trial) -> float:
    """`astype("category").cat.codes` is called on each part: the codes of the test rows mean other cities."""
    g = generator(t.seed)
    city, kind = torch.randint(0, 30, (1500,), generator=g), torch.randint(0, 8, (1500,), generator=g)
    number = torch.randn(1500, 3, generator=g)
    effect, other_effect = torch.randn(30, generator=g), 0.5 * torch.randn(8, generator=g)
    y = effect[city] + other_effect[kind] + 0.5 * number[:, 0] + 0.2 * torch.randn(1500, generator=g)
    is_new = city[1000:] < 6  # the test rows are of the last month, in which six cities are missing
    code = city.clone()
    if not t.fixed:
        code[1000:] = (code[1000:] - 6).clamp(min=0)
    x = torch.cat([code[:, None], kind[:, None], number], 1).float()
    keep = torch.cat([torch.ones(1000, dtype=torch.bool), ~is_new])
    data, net = split(x[keep], y[keep][:, None], 1000), Tower((30, 8), 3)
    optimizer = Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(12):
            net.train()
            for rows in torch.randperm(1000).split(32):
                optimizer.zero_grad()
                F.mse_loss(net(data.x[rows]), data.y[rows]).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                loss = float(F.mse_loss(net(data.x_test), data.y_test))
            report(dr, loss, -loss)
    return r2(net, data)
