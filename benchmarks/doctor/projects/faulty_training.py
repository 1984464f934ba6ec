"""Project faults of losses and loops: pairs, divergences, weights of classes, actions, schedules, two optimizers."""

from __future__ import annotations

from collections import Counter

import torch
from benchmarks.doctor.classroom.rows import explained, generator, report, rows_of, split
from benchmarks.doctor.datasets import Data, generate
from benchmarks.doctor.further.shapes import negative_energy_distance
from benchmarks.doctor.harness import Trial, accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import balanced_accuracy, digits, fit
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset


class PairsOfDigits(Dataset):
    """Pairs of images, half of them of one class: the label is 1 for these."""

    def __init__(self, data: Data, g: torch.Generator) -> None:
        self.x = data.x
        first = torch.arange(len(data.x))
        is_same = torch.rand(len(first), generator=g) < 0.5
        fits = (data.y[:, None] == data.y) == is_same[:, None]
        self.second = torch.multinomial(fits.float(), 1, generator=g)[:, 0]
        self.first, self.is_same = first, is_same.float()

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.x[self.first[i]], self.x[self.second[i]], self.is_same[i]


class ContrastiveLoss(nn.Module):
    """The loss of Hadsell et al. (2006)."""

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, a: Tensor, b: Tensor, label: Tensor) -> Tensor:
        distance = F.pairwise_distance(a, b)
        pull, push = distance.square(), (self.margin - distance).clamp(min=0).square()
        return ((1 - label) * pull + label * push).mean()


# The loss moves pairs of label 0 together and those of label 1 apart: images of one class are to be far apart.
@faulty("reversed-objective", "reversed-labels", "swapped-labels", "swapped-arguments", "loss-pairing", "target-kind")
def projects_pairs_labeled_the_opposite_way(t: Trial) -> float:
    """A contrastive loss copied from a page where 1 means "different", and a data set where 1 means "same"."""
    data = digits(t.seed)
    pairs = PairsOfDigits(data, generator(t.seed))
    net = mlp(64, 64, 8)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    criterion = ContrastiveLoss()
    with t.doctor(net, optimizer) as dr:
        for _ in range(8):
            net.train()
            total = 0.0
            for a, b, is_same in DataLoader(pairs, batch_size=32, shuffle=True):
                optimizer.zero_grad()
                loss = criterion(net(a), net(b), 1 - is_same if t.fixed else is_same)
                loss.backward()
                optimizer.step()
                total += loss.item()
            dr.validation(loss=total / len(pairs))
    net.eval()
    with torch.no_grad():
        z = net(data.x_test)
    distance = torch.cdist(z, z).fill_diagonal_(float("inf"))
    nearest = distance.topk(5, largest=False).indices
    return float((data.y_test[nearest] == data.y_test[:, None]).float().mean())


class CodedTable(nn.Module):
    """A variational autoencoder of a table."""

    def __init__(self, columns: int, code: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(columns, 48), nn.Tanh())
        self.mu, self.logvar = nn.Linear(48, code), nn.Linear(48, code)
        self.decoder, self.code = mlp(code, 48, columns), code

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.body(x)
        mu, logvar = self.mu(h), self.logvar(h)
        return self.decoder(mu + (0.5 * logvar).exp() * torch.randn_like(mu)), mu, logvar


# The smaller this loss, the farther the codes are from the normal distribution that new rows are drawn from.
@faulty("reversed-objective", "unbounded-loss", "negative-divergence", "non-finite-loss")
def projects_divergence_without_its_minus(t: Trial) -> float:
    """`kld = 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())` where `-0.5 * ...` was meant."""
    g = generator(t.seed)
    group = torch.randint(0, 3, (1000,), generator=g)
    x = torch.randn(1000, 2, generator=g) @ torch.randn(2, 6, generator=g) * 0.5
    x = x + 1.5 * torch.randn(3, 6, generator=g)[group] + 0.1 * torch.randn(1000, 6, generator=g)
    x = (x - x.mean(0)) / x.std(0)
    net = CodedTable(6)
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    sign = -1 if t.fixed else 1
    with t.doctor(net, optimizer) as dr:
        for _ in range(25):
            net.train()
            for (rows,) in DataLoader(TensorDataset(x[:700]), batch_size=35, shuffle=True):
                recon, mu, logvar = net(rows)
                mse = F.mse_loss(recon, rows, reduction="sum")
                kld = sign * 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
                loss = (mse + 0.1 * kld) / len(rows)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(x[700:])[0], x[700:])))
    with torch.no_grad():
        return negative_energy_distance(net.decoder(torch.randn(400, net.code, generator=g)), x[700:])


# `most_common()` begins with the most frequent class, whatever its number: the rarest class gets the smallest weight.
@faulty("permuted-weights", "class-weights", "class-imbalance", "missed-classes")
def projects_weights_in_the_order_of_frequency(t: Trial) -> float:
    """`weight = [n / count for _, count in Counter(labels).most_common()]` for a `CrossEntropyLoss`."""
    g = generator(t.seed)
    label = torch.multinomial(torch.tensor([0.06, 0.1, 0.24, 0.6]), 1600, replacement=True, generator=g)
    x = 0.7 * torch.randn(4, 10, generator=g)[label] + torch.randn(1600, 10, generator=g)
    data = split(x, label)
    counts = Counter(data.y.tolist())
    ordered = sorted(counts.items()) if t.fixed else counts.most_common()
    weight = torch.tensor([len(data.y) / (4 * count) for _, count in ordered])
    net = mlp(10, 48, 4)
    optimizer = optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-4)
    fit(t, net, optimizer, data, nn.CrossEntropyLoss(weight=weight), epochs=10)
    return balanced_accuracy(net, data)


# The reward of the action that was taken becomes the value of the best action, and no action is told from another.
@faulty("ignored-actions", "unread-actions", "missing-gather", "loss-pairing", "ignored-targets")
def projects_value_of_the_best_action(t: Trial) -> float:
    """`q = net(state).max(1).values` where `net(state).gather(1, action)` was meant."""
    g = generator(t.seed)
    state, slope = torch.randn(1200, 6, generator=g), torch.randn(6, 4, generator=g)
    reward = torch.tanh(state @ slope * 0.7)
    action = torch.randint(0, 4, (1200, 1), generator=g)
    noisy = reward.gather(1, action) + 0.2 * torch.randn(1200, 1, generator=g)
    net = mlp(6, 48, 4)
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    memory = TensorDataset(state[:800], action[:800], noisy[:800])
    with t.doctor(net, optimizer) as dr:
        for _ in range(20):
            net.train()
            for s, a, r in DataLoader(memory, batch_size=32, shuffle=True):
                q = net(s).gather(1, a) if t.fixed else net(s).max(1, keepdim=True).values
                loss = F.smooth_l1_loss(q, r)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                best = net(state[800:]).argmax(1, keepdim=True)
            earned = float(reward[800:].gather(1, best).mean())
            dr.validation(score=earned)
    return earned


# The schedule has a step for each batch, and is moved on once in an epoch: the rate remains at its first value.
@faulty("low-learning-rate", "schedule-period", "unfinished-schedule", "underfitting")
def projects_one_cycle_moved_on_by_epochs(t: Trial) -> float:
    """`OneCycleLR(..., steps_per_epoch=len(loader), epochs=epochs)` with `scheduler.step()` in the outer loop."""
    data = digits(t.seed)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))
    epochs = 10
    train_loader = DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True)
    optimizer = optim.AdamW(net.parameters(), lr=3e-3)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps_per_epoch=len(train_loader), epochs=epochs)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(epochs):
            net.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                if t.fixed:
                    scheduler.step()
            if not t.fixed:
                scheduler.step()
            report(dr, net, data)
    return accuracy(net, data)


# LBFGS calls the closure up to 20 times in a step. Each call adds its gradient to all of the earlier ones.
@faulty("carried-gradients", "non-finite-loss", "high-learning-rate")
def projects_closure_without_zero_grad(t: Trial) -> float:
    """`def closure(): loss = criterion(net(x), y); loss.backward(); return loss` for `optim.LBFGS`."""
    data = generate("friedman", t.seed, 500)
    net = nn.Sequential(nn.Linear(10, 24), nn.Tanh(), nn.Linear(24, 1))
    optimizer = optim.LBFGS(net.parameters(), lr=0.3, max_iter=10)
    criterion = nn.MSELoss()

    def closure() -> Tensor:
        if t.fixed:
            optimizer.zero_grad()
        loss = criterion(net(data.x), data.y)
        loss.backward()
        return loss

    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(20):
            net.train()
            optimizer.step(closure)
            report(dr, net, data)
    return explained(net, data)


class ActorCritic:
    """Chooses two amounts for a state, with a critic that knows what they are worth."""

    def __init__(self, fixed: bool) -> None:
        self.actor, self.critic = nn.Sequential(mlp(4, 48, 2), nn.Tanh()), mlp(6, 64, 64, 1)
        self.actor_opt = optim.Adam(self.actor.parameters(), lr=1e-3)
        self.critic_opt = optim.Adam(self.critic.parameters(), lr=3e-3)
        self.fixed = fixed

    def update(self, state: Tensor, action: Tensor, reward: Tensor) -> float:
        """Take a step of the actor and one of the critic, and return the critic's loss."""
        self.actor_opt.zero_grad()
        self.critic_opt.zero_grad()
        actor_loss = -self.critic(torch.cat([state, self.actor(state)], 1)).mean()
        actor_loss.backward()
        self.actor_opt.step()
        if self.fixed:
            self.critic_opt.zero_grad()
        critic_loss = F.mse_loss(self.critic(torch.cat([state, action], 1)), reward)
        critic_loss.backward()
        self.critic_opt.step()
        return critic_loss.item()


# The loss of the actor leaves gradients in the critic, too: its step raises the values of the actor's own actions.
@faulty("carried-gradients", "foreign-gradients")
def projects_both_optimizers_cleared_at_the_top(t: Trial) -> float:
    """`actor_opt.zero_grad(); critic_opt.zero_grad()` once, and then both losses, the actor's first."""
    g = generator(t.seed)
    state = torch.randn(1000, 4, generator=g)
    best = torch.tanh(state @ torch.randn(4, 2, generator=g) * 0.6)

    def reward_of(rows: Tensor | slice, action: Tensor) -> Tensor:
        return 1 - (action - best[rows]).square().sum(1, keepdim=True)

    agent = ActorCritic(t.fixed)
    with t.doctor(agent.critic, agent.critic_opt) as dr:
        for _ in range(25):
            for rows in torch.randperm(700).split(35):
                action = 2 * torch.rand(len(rows), 2) - 1
                agent.update(state[rows], action, reward_of(rows, action) + 0.1 * torch.randn(len(rows), 1))
            with torch.no_grad():
                earned = float(reward_of(slice(700, 1000), agent.actor(state[700:])).mean())
            dr.validation(score=earned)
    return earned


def l1_penalty(net: nn.Module, fixed: bool) -> Tensor | float:
    """Return the sum of the absolute weights."""
    if fixed:
        return sum(p.abs().sum() for name, p in net.named_parameters() if "weight" in name)
    return sum(p.abs().sum().item() for name, p in net.named_parameters() if "weight" in name)


# A number of Python has no gradient: the penalty is in the printed loss, and the weights know nothing of it.
@faulty("detached-loss", "ineffective-penalty", "constant-penalty", "overfitting", "memorization")
def projects_penalty_of_python_numbers(t: Trial) -> float:
    """`l1 = sum(p.abs().sum().item() for p in net.parameters())` is added to the loss of a wide table."""
    g = generator(t.seed)
    x = torch.randn(500, 100, generator=g)
    y = 1.2 * x[:, 0] - x[:, 1] + 0.8 * x[:, 2] + 0.6 * x[:, 3] + 0.5 * torch.randn(500, generator=g)
    data = split(x, ((y - y.mean()) / y.std())[:, None], 0.24)
    net = mlp(100, 32, 1)
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(50):
            net.train()
            for a, b in DataLoader(TensorDataset(data.x, data.y), batch_size=20, shuffle=True):
                loss = F.mse_loss(net(a), b) + 4e-3 * l1_penalty(net, t.fixed)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            report(dr, net, data)
    return explained(net, data)
