"""Healthy trainings of unusual networks: experts, codebooks, bags, episodes, layers that thaw, weights of tasks."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.fresh.loop import TwoConvs, evaluate, report, train_epochs, tree_score
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound
from benchmarks.doctor.recent.loop import given_rows, held_out
from benchmarks.doctor.unseen.loop import Net, digits, generator, loader
from torch import nn
from torch.nn import functional as F

Adam = torch.optim.Adam


class Experts(nn.Module):
    """Six small networks, the best two of which are asked for each row."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(20, 6)
        self.experts = nn.ModuleList(Net(20, 5, hidden=24) for _ in range(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values, chosen = self.gate(x).topk(2, dim=1)
        weights = torch.zeros(len(x), 6).scatter(1, chosen, values.softmax(1))
        out = torch.zeros(len(x), 5)
        for k, expert in enumerate(self.experts):
            rows = weights[:, k].nonzero().flatten()
            if len(rows):
                out = out.index_add(0, rows, expert(x[rows]) * weights[rows, k : k + 1])
        return out


@healthy_with_bound(lambda seed: tree_score(generate("table", seed), margin=0.07))
def recent_mixture_of_experts(t: Trial) -> float:
    """Some experts get few rows or none in a batch, and have no gradient then."""
    data, net = generate("table", t.seed), Experts()
    train_epochs(t, net, Adam(net.parameters(), lr=4e-3), data, epochs=12)
    return accuracy(net, data)


class Codebook(nn.Module):
    """An autoencoder whose code is the nearest of 24 vectors, with gradients straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Net(64, 16), Net(16, 64)
        self.vectors = nn.Parameter(torch.randn(24, 16) * 0.3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = self.encoder(x)
        nearest = self.vectors[torch.cdist(code, self.vectors).argmin(1)]
        gap = F.mse_loss(nearest, code.detach()) + 0.25 * F.mse_loss(code, nearest.detach())
        return self.decoder(code + (nearest - code).detach()), gap


@healthy_with_bound(lambda _: -0.62)
def recent_gradients_straight_through_a_codebook(t: Trial) -> float:
    """A VQ-VAE: an argmin and a difference that is detached are in the middle, and some vectors are never used."""
    data, net = digits(t.seed), Codebook()
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer) as dr:
        for _ in range(10):
            for rows in torch.randperm(len(data.x)).split(32):
                out, gap = net(data.x[rows])
                optimizer.zero_grad()
                (F.mse_loss(out, data.x[rows]) + gap).backward()
                optimizer.step()
            with torch.no_grad():
                out, gap = net(data.x_test)
            dr.validation(loss=float(F.mse_loss(out, data.x_test) + gap))
    return -float(F.mse_loss(out, data.x_test))


class Bags(nn.Module):
    """Attention over the rows of a bag, and one score for the bag."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attend, self.head = nn.Linear(64, 32), nn.Linear(32, 1), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = F.relu(self.embed(x))
        return self.head((self.attend(hidden).softmax(1) * hidden).sum(1))[:, 0]


@healthy_with_bound(lambda _: 0.85)
def recent_labels_of_bags(t: Trial) -> float:
    """A bag of six images is positive if a nine is among them; the attention goes to one of the six."""
    digit, g = digits(t.seed), generator(t.seed)

    def draw(x: torch.Tensor, y: torch.Tensor, bags: int) -> tuple[torch.Tensor, torch.Tensor]:
        ordinary, nines = (y != 9).nonzero().flatten(), (y == 9).nonzero().flatten()
        rows = ordinary[torch.randint(0, len(ordinary), (bags, 6), generator=g)]
        is_positive = torch.rand(bags, generator=g) < 0.5
        rows[:, 2] = torch.where(is_positive, nines[torch.randint(0, len(nines), (bags,), generator=g)], rows[:, 2])
        return x[rows], is_positive.float()

    data = Data(*draw(digit.x, digit.y, 700), *draw(digit.x_test, digit.y_test, 300))
    net = Bags()
    optimizer = Adam(net.parameters(), lr=4e-3)
    with t.doctor(net, optimizer) as dr:
        for _ in range(12):
            for x, y in loader(data, 20):
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(net(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                out = net(data.x_test)
            score = float(((out > 0) == (data.y_test > 0)).float().mean())
            dr.validation(loss=float(F.binary_cross_entropy_with_logits(out, data.y_test)), score=score)
    return score


@healthy_with_bound(lambda _: 0.7)
def recent_episodes_of_few_rows(t: Trial) -> float:
    """Prototypes: each update compares 30 images with the means of 3 images of each class, of new numbers each time."""
    data = digits(t.seed)
    net = Net(64, 24, hidden=96)
    optimizer = Adam(net.parameters(), lr=3e-3)

    def episode(x: torch.Tensor, y: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.stack([(y == k).nonzero().flatten()[torch.randperm(int((y == k).sum()))[:9]] for k in classes])
        vectors = net(x[rows.flatten()]).view(len(classes), 9, -1)
        scores = -torch.cdist(vectors[:, 3:].flatten(0, 1), vectors[:, :3].mean(1)).square()
        return scores, torch.arange(len(classes)).repeat_interleave(6)

    with t.doctor(net, optimizer):
        for _ in range(250):
            optimizer.zero_grad()
            F.cross_entropy(*episode(data.x, data.y, torch.randperm(7)[:5])).backward()
            optimizer.step()
    with torch.no_grad():
        parts = [episode(data.x_test, data.y_test, torch.tensor([7, 8, 9])) for _ in range(10)]
    return sum(float((out.argmax(1) == y).float().mean()) for out, y in parts) / 10


@healthy_with_bound(lambda seed: tree_score(images(seed), margin=0.05))
def recent_layers_that_thaw(t: Trial) -> float:
    """A pretrained body is frozen and not in the optimizer, and joins it with a small rate after three epochs."""
    data, net = images(t.seed), TwoConvs()
    pretext = Adam(net.parameters(), lr=4e-3)
    for _ in range(2):
        for x, y in loader(data):
            pretext.zero_grad()
            F.cross_entropy(net(x), y // 2).backward()
            pretext.step()
    net.body.requires_grad_(False)
    net.head = nn.Linear(128, 10)
    optimizer = Adam(net.head.parameters(), lr=6e-3)
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for epoch in range(9):
            if epoch == 3:
                net.body.requires_grad_(True)
                optimizer.add_param_group({"params": net.body.parameters(), "lr": 3e-3})
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


class TwoTasks(nn.Module):
    """A common body, heads of a class and of a number, and the logarithms of the weights of both losses."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.kind, self.amount = nn.Linear(8, 64), nn.Linear(64, 2), nn.Linear(64, 1)
        self.log_variances = nn.Parameter(torch.zeros(2))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = F.relu(self.body(x))
        return self.kind(hidden), self.amount(hidden)[:, 0]


@healthy_with_bound(lambda _: 0.85)
def recent_learned_weights_of_two_tasks(t: Trial) -> float:
    """The weights of the two losses are learned, and the sum becomes negative."""
    g = generator(t.seed)
    x = torch.randn(1500, 8, generator=g)
    kind = (x[:, 0] * x[:, 1] + 0.5 * x[:, 2] > 0).long()
    amount = 0.2 * (x[:, 0] + torch.sin(x[:, 3])) + 0.01 * torch.randn(1500, generator=g)
    net = TwoTasks()
    optimizer = Adam(net.parameters(), lr=5e-3)

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        scores, number = net(x[rows])
        losses = torch.stack([F.cross_entropy(scores, kind[rows]), F.mse_loss(number, amount[rows])])
        return ((-net.log_variances).exp() * losses + net.log_variances / torch.tensor([1.0, 2.0])).sum()

    with t.doctor(net, optimizer) as dr:
        for _ in range(15):
            for rows in torch.randperm(1000).split(32):
                optimizer.zero_grad()
                loss_of(rows).backward()
                optimizer.step()
            with torch.no_grad():
                dr.validation(loss=float(loss_of(torch.arange(1000, 1500))))
    with torch.no_grad():
        return float((net(x[1000:])[0].argmax(1) == kind[1000:]).float().mean())
