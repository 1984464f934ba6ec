"""Faulty trainings without rows of a file: values of moves, two networks against each other, denoising, pairs."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import images
from benchmarks.doctor.fresh.loop import TwoConvs
from benchmarks.doctor.harness import Trial, faulty
from benchmarks.doctor.unseen.loop import Net, generator
from torch import nn
from torch.nn import functional as F

Adam = torch.optim.Adam


@faulty("stale-target")
def fresh_target_network_never_updated(t: Trial) -> float:
    """`target.load_state_dict(net.state_dict())` is missing: values know one move, not the way to the goal."""
    net = Net(2, 4, hidden=48)
    target = copy.deepcopy(net)
    optimizer = Adam(net.parameters(), lr=3e-3)
    moves = torch.tensor([[0.25, 0.0], [-0.25, 0.0], [0.0, 0.25], [0.0, -0.25]])

    def is_goal(place: torch.Tensor) -> torch.Tensor:
        return ((place > 0.7).all(1)).float()

    with t.doctor(net, optimizer):
        for step in range(500):
            place, action = 2 * torch.rand(64, 2) - 1, torch.randint(0, 4, (64,))
            following = (place + moves[action]).clamp(-1, 1)
            with torch.no_grad():
                goal = is_goal(following) + 0.9 * (1 - is_goal(following)) * target(following).max(1)[0]
            optimizer.zero_grad()
            F.smooth_l1_loss(net(place).gather(1, action[:, None])[:, 0], goal).backward()
            optimizer.step()
            if t.fixed and step % 25 == 24:
                target.load_state_dict(net.state_dict())
    place = 2 * torch.rand(300, 2, generator=generator(t.seed)) - 1
    is_reached = torch.zeros(300)
    with torch.no_grad():
        for _ in range(12):
            place = (place + moves[net(place).argmax(1)]).clamp(-1, 1)
            is_reached = torch.maximum(is_reached, is_goal(place))
    return float(is_reached.mean())


@faulty("outweighed-loss", "strong-entropy")
def fresh_entropy_that_outweighs_the_reward(t: Trial) -> float:
    """The factor of the policy's entropy is 2, that of the reward 1: all moves stay equally likely."""
    best = torch.randn(6, 4, generator=generator(t.seed))
    net = Net(6, 4, hidden=32)
    optimizer = Adam(net.parameters(), lr=5e-3)
    factor = 0.01 if t.fixed else 2.0
    with t.doctor(net, optimizer):
        for _ in range(250):
            state = torch.randn(64, 6)
            policy = torch.distributions.Categorical(logits=net(state))
            action = policy.sample()
            reward = ((state @ best).argmax(1) == action).float()
            loss = -policy.log_prob(action) * (reward - reward.mean()) - factor * policy.entropy()
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
    state = torch.randn(500, 6)
    with torch.no_grad():
        probability = net(state).softmax(1)
    return float(probability.gather(1, (state @ best).argmax(1, keepdim=True)).mean())


class Denoiser(nn.Module):
    """Predict the noise from a noisy point and its time."""

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(3, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 2)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return self.fc3(F.silu(self.fc2(F.silu(self.fc1(torch.cat([x, time], 1))))))


@faulty("frozen-noise")
def fresh_noise_drawn_before_the_loop(t: Trial) -> float:
    """Times and noise are drawn once for each of 120 points, not in each step: the pairs are learned by heart."""
    angle = torch.rand(120, generator=generator(t.seed)) * 6.283
    points = torch.stack([angle.cos(), angle.sin()], 1) * 1.5
    all_times, all_noise = torch.rand(120, 1), torch.randn(120, 2)
    net = Denoiser()
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(700):
            rows = torch.randint(0, 120, (64,))
            x, time, noise = points[rows], all_times[rows], all_noise[rows]
            if t.fixed:
                time, noise = torch.rand(64, 1), torch.randn(64, 2)
            optimizer.zero_grad()
            F.mse_loss(net((1 - time).sqrt() * x + time.sqrt() * noise, time), noise).backward()
            optimizer.step()
    angle = torch.rand(1000) * 6.283
    x, time, noise = torch.stack([angle.cos(), angle.sin()], 1) * 1.5, torch.rand(1000, 1), torch.randn(1000, 2)
    with torch.no_grad():
        return -float(F.mse_loss(net((1 - time).sqrt() * x + time.sqrt() * noise, time), noise))


class TwoViews(nn.Module):
    """An encoder and a predictor of the other view's features."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = TwoConvs(classes=24)
        self.predictor = nn.Sequential(nn.Linear(24, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 24))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.encoder(x)
        return features, self.predictor(features)


@faulty("collapsed-outputs", "constant-outputs")
def fresh_views_without_a_stopped_gradient(t: Trial) -> float:
    """Two views predict each other, and `detach()` is missing on the side that is predicted."""
    data, net = images(t.seed), TwoViews()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with t.doctor(net, optimizer):
        for _ in range(5):
            for rows in torch.randperm(len(data.x)).split(64):
                x = data.x[rows]
                views = [net(x + 0.3 * torch.randn_like(x)) for _ in range(2)]
                loss = torch.zeros(())
                for (_, predicted), (features, _) in (views, views[::-1]):
                    goal = features.detach() if t.fixed else features
                    loss = loss - F.cosine_similarity(predicted, goal, dim=1).mean() / 2
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    net.eval()
    with torch.no_grad():
        a, b = (F.normalize(net.encoder(x) - net.encoder(data.x).mean(0), dim=1) for x in (data.x_test, data.x))
    return float((data.y[(a @ b.T).argmax(1)] == data.y_test).float().mean())
