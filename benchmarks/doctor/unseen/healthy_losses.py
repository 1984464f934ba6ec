"""Healthy trainings with losses of many kinds: generative, contrastive, of rewards, of several labels."""

from __future__ import annotations

import copy

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.harness import Trial, accuracy, binary_accuracy, healthy, r2
from benchmarks.doctor.unseen.faulty_networks import Segmenter, Variational, pixel_balance, shapes
from benchmarks.doctor.unseen.faulty_targets import tags
from benchmarks.doctor.unseen.loop import ConvNet, Net, digits, f1, fit, generator, nonlinear
from torch import nn
from torch.nn import functional as F

Adam, AdamW, SGD = torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD


def play(t: Trial, watches_judge: bool) -> float:
    """Train a GAN in two dimensions; the doctor watches one of its networks."""
    g = generator(t.seed)
    angle = torch.rand(1000, generator=g) * 6.283
    real = torch.stack([angle.cos(), angle.sin()], 1) + 1
    maker, judge = Net(4, 2, hidden=32), Net(2, 1, hidden=32)
    first, second = Adam(maker.parameters(), 1e-3, (0.5, 0.9)), Adam(judge.parameters(), 1e-3, (0.5, 0.9))
    with t.doctor(*((judge, second) if watches_judge else (maker, first))):
        for _ in range(250):
            x = real[torch.randint(0, 1000, (64,))]
            fake = maker(torch.randn(64, 4))
            second.zero_grad()
            (F.softplus(-judge(x)).mean() + F.softplus(judge(fake.detach())).mean()).backward()
            second.step()
            first.zero_grad()
            F.softplus(-judge(fake)).mean().backward()
            first.step()
    with torch.no_grad():
        return -float((maker(torch.randn(500, 4)).mean(0) - 1).norm())


@healthy
def unseen_generator(t: Trial) -> float:
    return play(t, watches_judge=False)


@healthy
def unseen_discriminator(t: Trial) -> float:
    return play(t, watches_judge=True)


@healthy
def unseen_policy_gradient(t: Trial) -> float:
    best = torch.randn(6, 4, generator=generator(t.seed))
    net = Net(6, 4, hidden=32)
    optimizer = Adam(net.parameters(), lr=5e-3)
    rewards = torch.zeros(())
    with t.doctor(net, optimizer):
        for _ in range(250):
            state = torch.randn(64, 6)
            policy = torch.distributions.Categorical(logits=net(state))
            action = policy.sample()
            reward = ((state @ best).argmax(1) == action).float()
            optimizer.zero_grad()
            (-policy.log_prob(action) * (reward - reward.mean())).mean().backward()
            optimizer.step()
            rewards = 0.95 * rewards + 0.05 * reward.mean()
    return float(rewards)


@healthy
def unseen_action_values(t: Trial) -> float:
    """Values of two actions on a line, with a target network and a replay of random moves."""
    net = Net(1, 2, hidden=32)
    target = copy.deepcopy(net)
    optimizer = Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer):
        for step in range(300):
            place, move = torch.rand(64, 1) * 2 - 1, torch.randint(0, 2, (64, 1))
            following = (place + 0.2 * (2 * move - 1)).clamp(-1, 1)
            with torch.no_grad():
                goal = (following > 0.8).float() + 0.9 * (following <= 0.8) * target(following).max(1, keepdim=True)[0]
            optimizer.zero_grad()
            F.smooth_l1_loss(net(place).gather(1, move), goal).backward()
            optimizer.step()
            if step % 20 == 19:
                target.load_state_dict(net.state_dict())
    with torch.no_grad():
        return float((net(torch.linspace(-1, 0.75, 50)[:, None]).argmax(1) == 1).float().mean())


@healthy
def unseen_contrastive(t: Trial) -> float:
    data, net = images(t.seed), ConvNet(classes=8)
    optimizer = Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer):
        for _ in range(5):
            for rows in torch.randperm(len(data.x)).split(64):
                x = data.x[rows]
                a, b = (F.normalize(net(x + 0.2 * torch.randn_like(x)), dim=1) for _ in range(2))
                optimizer.zero_grad()
                F.cross_entropy(a @ b.T / 0.2, torch.arange(len(a))).backward()
                optimizer.step()
    with torch.no_grad():
        a, b = (F.normalize(net(x), dim=1) for x in (data.x_test, data.x))
        return float((data.y[(a @ b.T).argmax(1)] == data.y_test).float().mean())


@healthy
def unseen_triplets(t: Trial) -> float:
    data, net = digits(t.seed), Net(64, 8, hidden=48)
    optimizer = Adam(net.parameters(), lr=2e-3)
    by_class = [(data.y == k).nonzero()[:, 0] for k in range(10)]
    g = generator(t.seed)
    with t.doctor(net, optimizer):
        for _ in range(200):
            kinds = torch.randint(0, 10, (48,), generator=g).tolist()
            others = [(k + int(torch.randint(1, 10, (1,), generator=g))) % 10 for k in kinds]
            rows = [
                torch.stack([by_class[k][int(torch.randint(0, len(by_class[k]), (1,), generator=g))] for k in part])
                for part in (kinds, kinds, others)
            ]
            optimizer.zero_grad()
            F.triplet_margin_loss(*(net(data.x[r]) for r in rows), margin=1.0).backward()
            optimizer.step()
    with torch.no_grad():
        nearest = torch.cdist(net(data.x_test), net(data.x)).argmin(1)
        return float((data.y[nearest] == data.y_test).float().mean())


@healthy
def unseen_variational_autoencoder(t: Trial) -> float:
    data, net = images(t.seed), Variational()
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(len(data.x)).split(32):
                x = data.x[rows].flatten(1)
                out, mean, log_variance = net(x)
                divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
                optimizer.zero_grad()
                (F.mse_loss(out, x, reduction="none").sum(1).mean() + 0.05 * divergence).backward()
                optimizer.step()
    with torch.no_grad():
        x = data.x_test.flatten(1)
        return 1 - float(F.mse_loss(net(x)[0], x) / (x - x.mean(0)).square().mean())


class Denoiser(nn.Module):
    """Predict the noise from a noisy row and its time."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net(3, 2, hidden=64, layers=2)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([x, time], 1))


@healthy
def unseen_diffusion(t: Trial) -> float:
    g = generator(t.seed)
    angle = torch.rand(1000, generator=g) * 6.283
    real = torch.stack([angle.cos(), angle.sin()], 1) * 1.5
    net = Denoiser()
    optimizer = Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer):
        for _ in range(300):
            x = real[torch.randint(0, 1000, (128,))]
            time, noise = torch.rand(128, 1), torch.randn(128, 2)
            optimizer.zero_grad()
            F.mse_loss(net((1 - time).sqrt() * x + time.sqrt() * noise, time), noise).backward()
            optimizer.step()
    time, noise = torch.full((500, 1), 0.3), torch.randn(500, 2)
    with torch.no_grad():
        return 1 - float(F.mse_loss(net((1 - time).sqrt() * real[:500] + time.sqrt() * noise, time), noise))


@healthy
def unseen_segmentation(t: Trial) -> float:
    data, net = shapes(t.seed), Segmenter()
    loss = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 4.0, 4.0]))
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, loss, epochs=4, size=25)
    return pixel_balance(net, data)


@healthy
def unseen_several_labels(t: Trial) -> float:
    data = tags(t.seed)
    net = Net(20, 12)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, F.binary_cross_entropy_with_logits, epochs=6)
    return f1(net, data)


@healthy
def unseen_mixed_images_and_labels(t: Trial) -> float:
    data, net = images(t.seed), ConvNet()
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y)):
        for _ in range(7):
            for rows in torch.randperm(len(data.x)).split(32):
                other = rows[torch.randperm(len(rows))]
                part = float(torch.distributions.Beta(0.4, 0.4).sample())
                target = part * F.one_hot(data.y[rows], 10) + (1 - part) * F.one_hot(data.y[other], 10)
                optimizer.zero_grad()
                F.cross_entropy(net(part * data.x[rows] + (1 - part) * data.x[other]), target).backward()
                optimizer.step()
    return accuracy(net, data)


@healthy
def unseen_mean_and_variance(t: Trial) -> float:
    data = nonlinear(t.seed, noise=0.5)
    net = Net(8, 2)
    fit(
        t, net, Adam(net.parameters(), lr=3e-3), data,
        lambda out, y: F.gaussian_nll_loss(out[:, :1], y, F.softplus(out[:, 1:]) + 1e-3), epochs=8,
    )  # fmt: skip
    with torch.no_grad():
        return 1 - float(F.mse_loss(net(data.x_test)[:, :1], data.y_test) / data.y_test.var())


@healthy
def unseen_differential_equation(t: Trial) -> float:
    """A network whose derivative follows u' = -u with u(0) = 1: gradients of gradients."""
    net = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 1))
    optimizer = Adam(net.parameters(), lr=1e-2)
    with t.doctor(net, optimizer):
        for _ in range(250):
            time = (2 * torch.rand(64, 1)).requires_grad_(True)
            u = net(time)
            (slope,) = torch.autograd.grad(u.sum(), time, create_graph=True)
            optimizer.zero_grad()
            ((slope + u).square().mean() + (net(torch.zeros(1, 1)) - 1).square().mean()).backward()
            optimizer.step()
    time = torch.linspace(0, 2, 50)[:, None]
    with torch.no_grad():
        return -float((net(time) - (-time).exp()).abs().max())


@healthy
def unseen_hinge(t: Trial) -> float:
    data, net = generate("binary", t.seed), nn.Linear(20, 1)
    fit(
        t, net, SGD(net.parameters(), lr=0.05, weight_decay=1e-3), data,
        lambda out, y: F.relu(1 - (2 * y - 1) * out[:, 0]).mean(), epochs=8,
    )  # fmt: skip
    return binary_accuracy(net, data)


@healthy
def unseen_autoencoder(t: Trial) -> float:
    original = images(t.seed)
    x, x_test = original.x.flatten(1), original.x_test.flatten(1)
    data, net = Data(x, x, x_test, x_test), Net(64, 64, hidden=24)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, F.mse_loss, epochs=8)
    return r2(net, data)


@healthy
def unseen_student_of_a_teacher(t: Trial) -> float:
    data = digits(t.seed)
    teacher = Net(64, 10, hidden=96)
    optimizer = Adam(teacher.parameters(), lr=3e-3)
    for _ in range(4):
        for rows in torch.randperm(len(data.x)).split(32):
            optimizer.zero_grad()
            F.cross_entropy(teacher(data.x[rows]), data.y[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        soft = (teacher(data.x) / 2).softmax(1)
    net = Net(64, 10, hidden=24)
    optimizer = Adam(net.parameters(), lr=5e-3)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(len(soft)).split(32):
                optimizer.zero_grad()
                F.kl_div((net(data.x[rows]) / 2).log_softmax(1), soft[rows], reduction="batchmean").backward()
                optimizer.step()
    return accuracy(net, data)
