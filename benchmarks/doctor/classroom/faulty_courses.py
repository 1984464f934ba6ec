"""Classroom faults of trainers: overridden modes, averages, accumulation, groups of parameters, the best weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from benchmarks.doctor.classroom.rows import report, rows_of
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.harness import Trial, accuracy, faulty, mlp
from benchmarks.doctor.unseen.loop import digits, fit
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def body_of_inverted_digits(seed: int) -> nn.Sequential:
    """Return a layer with a batch norm that was trained to classify inverted digits."""
    data = digits(seed)
    body, head = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU()), nn.Linear(64, 10)
    opt = optim.Adam([*body.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(4):
        for rows in torch.randperm(len(data.x)).split(32):
            opt.zero_grad()
            F.cross_entropy(head(body(-data.x[rows])), data.y[rows]).backward()
            opt.step()
    return body


class PartlyFrozen(nn.Module):
    """A trained body whose batch norms are to stay in evaluation mode, and a head with dropout."""

    def __init__(self, body: nn.Sequential, fixed: bool) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.5), nn.Linear(48, 10))
        self.fixed = fixed

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def train(self, mode: bool = True) -> PartlyFrozen:
        """Set the mode of the network, and keep the body in evaluation mode."""
        if self.fixed:
            super().train(mode)
        self.training = mode
        self.body.eval()
        return self


# `eval()` is `train(False)`: without `super().train(mode)`, the head's dropout is never switched off.
@faulty("mode", "random-outputs")
def classroom_train_overridden_without_super(t: Trial) -> float:
    """`def train(self, mode=True): self.body.eval(); return self`, to keep the statistics of a body as they are."""
    data = digits(t.seed)
    model = PartlyFrozen(body_of_inverted_digits(t.seed + 40), t.fixed)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    fit(t, model, optimizer, data, epochs=10)
    return accuracy(model, data)


class AveragingTrainer:
    """Trains a network and validates the average of its weights."""

    def __init__(self, model: nn.Module, optimizer: optim.Optimizer, decay: float, fixed: bool) -> None:
        self.model, self.optimizer, self.decay, self.fixed = model, optimizer, decay, fixed
        self.average = copy.deepcopy(model.state_dict())

    def train_epoch(self, loader: DataLoader[Any]) -> None:
        """Take a step for each batch."""
        self.model.train()
        for x, y in loader:
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()
            with torch.no_grad():
                for name, value in self.model.state_dict().items():
                    self.average[name].lerp_(value, 1 - self.decay)

    def validate(self, dr: Any, data: Data) -> None:
        """Put the average into the network, and measure it."""
        backup = copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(self.average)
        report(dr, self.model, data)
        if self.fixed:
            self.model.load_state_dict(backup)


# Each epoch begins with the average of the epoch before, far behind the weights that were reached.
@faulty("weights-reset", "unrestored-average")
def classroom_average_left_in_the_network(t: Trial) -> float:
    """`swap_in_average()` before the validation, without `swap_out_average()` after it."""
    data = digits(t.seed)
    model = mlp(64, 48, 10)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    trainer = AveragingTrainer(model, optimizer, 0.99, t.fixed)
    loader = DataLoader(TensorDataset(data.x, data.y), batch_size=64, shuffle=True)
    with t.doctor(model, optimizer, **rows_of(data)) as dr:
        for _ in range(10):
            trainer.train_epoch(loader)
            trainer.validate(dr, data)
    model.load_state_dict(trainer.average)
    return accuracy(model, data)


# An epoch has 14 batches and each epoch clears the gradients: the sixteenth batch never comes.
@faulty("missing-update", "discarded-gradients")
def classroom_accumulation_longer_than_an_epoch(t: Trial) -> float:
    """`if (i + 1) % 16 == 0: optimizer.step()` with 14 batches, and `zero_grad()` at the beginning of each epoch."""
    data = generate("table", t.seed, 640, 20)
    net = mlp(20, 48, 5)
    opt = optim.Adam(net.parameters(), lr=1e-2)
    accumulate = 2 if t.fixed else 16
    with t.doctor(net, opt, **rows_of(data)) as dr:
        for _ in range(10):
            net.train()
            opt.zero_grad()
            for i, (x, y) in enumerate(DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True)):
                loss = F.cross_entropy(net(x), y) / accumulate
                loss.backward()
                if (i + 1) % accumulate == 0:
                    opt.step()
                    opt.zero_grad()
            report(dr, net, data)
    return accuracy(net, data)


class WarmUp:
    """Raises the rate of an optimizer linearly in the first steps."""

    def __init__(self, optimizer: optim.Optimizer, peak: float, steps: int, fixed: bool) -> None:
        self.optimizer, self.peak, self.steps, self.count, self.fixed = optimizer, peak, steps, 0, fixed

    def step(self) -> None:
        """Set the rate of the next step."""
        self.count += 1
        rate = self.peak * min(1.0, self.count / self.steps)
        groups = self.optimizer.param_groups if self.fixed else self.optimizer.param_groups[:1]
        for group in groups:
            group["lr"] = rate


# The first group has the biases and norms, which are not to decay. The weights keep the rate of the first step.
@faulty("low-learning-rate", "frozen-parameters", "unscheduled-group")
def classroom_warm_up_of_the_first_group(t: Trial) -> float:
    """`optimizer.param_groups[0]["lr"] = rate` for an optimizer with two groups of parameters."""
    data = images(t.seed)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(96, 10),
    )  # fmt: skip
    vectors = [p for p in net.parameters() if p.ndim == 1]
    matrices = [p for p in net.parameters() if p.ndim > 1]
    groups = [{"params": vectors, "weight_decay": 0.0}, {"params": matrices, "weight_decay": 0.01}]
    optimizer = optim.AdamW(groups, lr=1e-6)
    schedule = WarmUp(optimizer, 3e-3, 40, t.fixed)
    with t.doctor(net, optimizer, **rows_of(data)) as dr:
        for _ in range(6):
            net.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                schedule.step()
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            report(dr, net, data)
    return accuracy(net, data)


class KeepBest:
    """Keeps a copy of the weights of the best score."""

    def __init__(self, model: nn.Module, best: float) -> None:
        self.model, self.best = model, best
        self.weights = copy.deepcopy(model.state_dict())

    def update(self, score: float) -> None:
        """Copy the weights if the score, the larger the better, is the best one."""
        if score > self.best:
            self.best, self.weights = score, copy.deepcopy(self.model.state_dict())


# The score is minus the loss. No score is above 0, and the weights at the end are those of the beginning.
@faulty("weights-reset", "evaluated-network", "unreplaced-weights")
def classroom_best_score_begins_at_zero(t: Trial) -> float:
    """`best_score = 0.0` and `if -val_loss > best_score`, and the best weights are loaded at the end."""
    data = generate("friedman", t.seed, 1000)
    model = mlp(10, 64, 1)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    keeper = KeepBest(model, -float("inf") if t.fixed else 0.0)
    with t.doctor(model, optimizer, **rows_of(data)) as dr:
        for _ in range(15):
            model.train()
            for x, y in DataLoader(TensorDataset(data.x, data.y), batch_size=32, shuffle=True):
                optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                loss = float(F.mse_loss(model(data.x_test), data.y_test))
            dr.validation(loss=loss)
            keeper.update(-loss)
        model.load_state_dict(keeper.weights)
        report(dr, model, data)
    with torch.no_grad():
        return float(1 - F.mse_loss(model(data.x_test), data.y_test) / data.y_test.var())


class Adapter(nn.Module):
    """A frozen linear layer, and the product of two thin matrices that is added to it."""

    def __init__(self, layer: nn.Linear, rank: int = 8) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(layer.in_features, rank) * 0.1)
        self.up = nn.Parameter(torch.zeros(rank, layer.out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + x @ self.down @ self.up


class Adapted(nn.Module):
    """A frozen body with adapters, and a new head."""

    def __init__(self, body: nn.Sequential, classes: int, fixed: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(Adapter(body[0]), nn.ReLU(), Adapter(body[2]), nn.ReLU())
        self.head, self.fixed = nn.Linear(32, classes), fixed

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.fixed and torch.is_grad_enabled()):
            h = self.body(x)
        return self.head(h)


# The body is frozen and needs no gradient, which was true before the adapters were put into it.
@faulty("no-gradient", "cut-graph", "frozen-parameters")
def classroom_adapters_inside_no_grad(t: Trial) -> float:
    """`with torch.no_grad(): h = self.body(x)` for a body whose layers were replaced by layers with adapters."""
    source, data = generate("table", t.seed + 70, 1000, 20), generate("table", t.seed, 1000, 20)
    body = mlp(20, 48, 32, 5)
    opt = optim.Adam(body.parameters(), lr=3e-3)
    for _ in range(8):
        for rows in torch.randperm(len(source.x)).split(32):
            opt.zero_grad()
            F.cross_entropy(body(source.x[rows]), source.y[rows]).backward()
            opt.step()
    model = Adapted(body, 5, t.fixed)
    optimizer = optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    fit(t, model, optimizer, data, epochs=15)
    return accuracy(model, data)


def play_levers(policy: nn.Module, episodes: int, steps: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-probabilities, rewards (episodes, steps) and the fraction of right first moves.

    A color is shown in the first step, and the lever that is pulled then decides the reward in the last one.
    """
    color = torch.randint(0, 4, (episodes,))
    log_probs, rewards, is_right = [], [], torch.zeros(episodes)
    for step in range(steps):
        shown = F.one_hot(color, 4).float() * (step == 0)
        clock = F.one_hot(torch.full((episodes,), step), steps).float()
        choice = torch.distributions.Categorical(logits=policy(torch.cat([shown, clock], 1)))
        action = choice.sample()
        if step == 0:
            is_right = (action == (color + 1) % 4).float()
        log_probs.append(choice.log_prob(action))
        rewards.append(is_right * (step == steps - 1) + 0.1 * torch.randn(episodes))
    return torch.stack(log_probs, 1), torch.stack(rewards, 1), is_right.mean()


# The return of a move is to be what comes after it. Summed up from the beginning, it is what came before.
@faulty("reversed-returns", "misaligned-targets")
def classroom_returns_summed_from_the_beginning(t: Trial) -> float:
    """`for r in rewards: R = r + gamma * R` without `reversed`."""
    policy = mlp(9, 32, 4)
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    gamma = 0.95
    with t.doctor(policy, optimizer):
        for _ in range(100):
            log_probs, rewards, _ = play_levers(policy, 48)
            returns, total = torch.zeros_like(rewards), torch.zeros(len(rewards))
            order = range(rewards.shape[1])
            for step in reversed(order) if t.fixed else order:
                total = rewards[:, step] + gamma * total
                returns[:, step] = total
            advantages = returns - returns.mean(0)
            loss = -(log_probs * advantages).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float(play_levers(policy, 600)[2])
