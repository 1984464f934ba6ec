"""Healthy trainings with unusual losses and steps: two passes, likelihoods, alignments, orders, rewards, teachers."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.fresh.loop import evaluate, report, train_epochs, tree_score
from benchmarks.doctor.harness import Trial, accuracy, healthy_with_bound, r2
from benchmarks.doctor.recent.faulty_losses import reward_of
from benchmarks.doctor.recent.loop import given_rows, held_out
from benchmarks.doctor.unseen.loop import Net, digits, generator, loader, nonlinear, split
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@healthy_with_bound(lambda seed: tree_score(generate("table", seed), margin=0.05))
def recent_two_passes_of_sharpness_aware_training(t: Trial) -> float:
    """Each update has two forward and backward passes, the second one with disturbed weights."""
    data, net = generate("table", t.seed), Net(20, 5)
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    parameters = list(net.parameters())
    with t.doctor(net, optimizer, **given_rows(data)) as dr:
        for _ in range(10):
            net.train()
            for x, y in loader(data):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                with torch.no_grad():
                    norm = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
                    steps = [0.05 * p.grad / (norm + 1e-12) for p in parameters if p.grad is not None]
                    for p, step in zip(parameters, steps, strict=True):
                        p.add_(step)
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                with torch.no_grad():
                    for p, step in zip(parameters, steps, strict=True):
                        p.sub_(step)
                optimizer.step()
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(net, data)


class Coupling(nn.Module):
    """A normalizing flow of affine couplings in the plane; returns the log-likelihood of points."""

    def __init__(self, layers: int = 6) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 2)) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        volume = torch.zeros(len(x))
        for i, net in enumerate(self.nets):
            fixed_column, moved_column = x[:, i % 2 : i % 2 + 1], x[:, 1 - i % 2 : 2 - i % 2]
            scale, shift = net(fixed_column).chunk(2, 1)
            moved_column = moved_column * scale.tanh().exp() + shift
            volume = volume + scale.tanh()[:, 0]
            x = torch.cat([fixed_column, moved_column] if i % 2 == 0 else [moved_column, fixed_column], 1)
        return volume - 0.5 * x.square().sum(1) - 1.8379


@healthy_with_bound(lambda _: 0.5)
def recent_likelihood_of_a_flow(t: Trial) -> float:
    """The loss becomes negative, since densities are above 1, and has no lower bound."""
    g = generator(t.seed)
    angle = torch.rand(1500, generator=g) * 3.1416
    x = 0.5 * torch.stack([angle.cos(), angle.sin()], 1) + 0.03 * torch.randn(1500, 2, generator=g)
    net = Coupling()
    optimizer = Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, optimizer) as dr:
        for _ in range(15):
            for rows in torch.randperm(1200).split(50):
                optimizer.zero_grad()
                (-net(x[rows]).mean()).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 2.0)
                optimizer.step()
            with torch.no_grad():
                dr.validation(loss=-float(net(x[1200:]).mean()))
    with torch.no_grad():
        return float(net(x[1200:]).mean())


class Reader(nn.Module):
    """A bidirectional GRU with scores of five signs and the blank."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(6, 24, batch_first=True, bidirectional=True), nn.Linear(48, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0]).log_softmax(2).transpose(0, 1)


@healthy_with_bound(lambda _: 0.7)
def recent_alignments_with_blanks(t: Trial) -> float:
    """CTC: in the beginning blanks are all that is predicted, and in the end most places are blank."""
    g = generator(t.seed)
    signs = torch.randint(1, 6, (700, 4), generator=g)
    x = 0.4 * torch.randn(700, 20, 6, generator=g)
    for i in range(4):
        start = 5 * i + torch.randint(0, 3, (700,), generator=g)
        for width in range(2):
            x[torch.arange(700), start + width, signs[:, i]] += 2.0
    net = Reader()
    optimizer, criterion = Adam(net.parameters(), lr=1e-2), nn.CTCLoss(blank=0, zero_infinity=True)

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        lengths = torch.full((len(rows),), 20), torch.full((len(rows),), 4)
        return criterion(net(x[rows]), signs[rows], *lengths)

    with t.doctor(net, optimizer) as dr:
        for _ in range(12):
            for rows in torch.randperm(550).split(25):
                optimizer.zero_grad()
                loss_of(rows).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                optimizer.step()
            with torch.no_grad():
                dr.validation(loss=float(loss_of(torch.arange(550, 700))))
    with torch.no_grad():
        best = net(x[550:]).argmax(2).T
    texts = [[int(a) for a, b in zip(row, [-1, *row[:-1]], strict=True) if a not in (0, b)] for row in best.tolist()]
    return sum(text == row for text, row in zip(texts, signs[550:].tolist(), strict=True)) / 150


@healthy_with_bound(lambda _: 0.55)
def recent_ordered_classes_as_thresholds(t: Trial) -> float:
    """Grades from 0 to 4 are learned as four questions "above 0?" to "above 3?" with a common weight vector."""
    full = nonlinear(t.seed)
    levels = torch.tensor([-1.2, -0.4, 0.4, 1.2])
    data = split(torch.cat([full.x, full.x_test]), torch.bucketize(torch.cat([full.y, full.y_test])[:, 0], levels), 800)

    class Ordinal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.levels = Net(8, 1), nn.Parameter(torch.tensor([-1.0, -0.3, 0.3, 1.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x) - self.levels

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(out, (y[:, None] > torch.arange(4)).float())

    net = Ordinal()
    optimizer = Adam(net.parameters(), lr=8e-3)
    with t.doctor(net, optimizer) as dr:
        for _ in range(20):
            for x, y in loader(data):
                optimizer.zero_grad()
                loss(net(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                dr.validation(loss=float(loss(net(data.x_test), data.y_test)))
    with torch.no_grad():
        return float(((net(data.x_test) > 0).sum(1) == data.y_test).float().mean())


@healthy_with_bound(lambda seed: tree_score(nonlinear(seed), margin=0.1))
def recent_huber_loss_with_wild_targets(t: Trial) -> float:
    """Three rows in a hundred have targets that are tens of standard deviations off, and the loss takes it."""
    clean, g = nonlinear(t.seed), generator(t.seed)
    is_wild = torch.rand(len(clean.y), 1, generator=g) < 0.03
    y = clean.y + 25 * is_wild * torch.randn(clean.y.shape, generator=g)
    data = Data(clean.x, y, clean.x_test, clean.y_test)
    net = Net(8, 1, hidden=96)
    train_epochs(t, net, Adam(net.parameters(), lr=8e-3), data, F.smooth_l1_loss, epochs=30)
    return r2(net, data)


class ActorCritic(nn.Module):
    """A common body, scores of actions, and a value."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.actor, self.critic = nn.Linear(6, 48), nn.Linear(48, 4), nn.Linear(48, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = F.relu(self.body(x))
        return self.actor(hidden), self.critic(hidden)[:, 0]


@healthy_with_bound(lambda _: 0.8)
def recent_actor_and_critic(t: Trial) -> float:
    """The loss of a policy with a learned value goes up and down while the rewards grow."""
    net = ActorCritic()
    optimizer = Adam(net.parameters(), lr=6e-3)
    with t.doctor(net, optimizer):
        for _ in range(350):
            x = torch.randn(64, 6)
            scores, value = net(x)
            choice = Categorical(logits=scores)
            action = choice.sample()
            reward = reward_of(x, action)
            policy = -(choice.log_prob(action) * (reward - value).detach()).mean()
            optimizer.zero_grad()
            (policy + 0.5 * F.mse_loss(value, reward) - 0.01 * choice.entropy().mean()).backward()
            optimizer.step()
    x = torch.randn(2000, 6)
    with torch.no_grad():
        return float((net(x)[0].argmax(1) == x[:, :4].argmax(1)).float().mean())


@healthy_with_bound(lambda _: 0.8)
def recent_teacher_that_is_an_average(t: Trial) -> float:
    """Of 1250 images 100 have labels; on the others the network follows a moving average of itself."""
    data = digits(t.seed)
    net = Net(64, 10)
    teacher = copy.deepcopy(net).requires_grad_(False)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer) as dr:
        for epoch in range(8):
            net.train()
            for rows in torch.randperm(len(data.x)).split(32):
                labelled = torch.randint(0, 100, (16,))
                out = net(torch.cat([data.x[labelled], data.x[rows]]) + 0.2 * torch.randn(16 + len(rows), 64))
                goal = teacher(data.x[rows]).softmax(1)
                consistency = (out[16:].softmax(1) - goal).square().sum(1).mean()
                optimizer.zero_grad()
                (F.cross_entropy(out[:16], data.y[labelled]) + min(1.0, epoch / 4) * consistency).backward()
                optimizer.step()
                with torch.no_grad():
                    for slow, fast in zip(teacher.parameters(), net.parameters(), strict=True):
                        slow.lerp_(fast, 0.05)
            report(dr, *evaluate(net, held_out(data)))
    return accuracy(teacher, data)
