"""Faulty trainings whose loss is wrong: overlap, focus, percentages, variances, pairs, views, noise, policies."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.fresh.loop import train_epochs
from benchmarks.doctor.harness import Trial, faulty, r2
from benchmarks.doctor.recent.loop import Segmenter, overlap, small_masks
from benchmarks.doctor.unseen.loop import Net, balanced_accuracy, digits, generator, nonlinear, split
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional as F

Adam = torch.optim.Adam


@faulty("loss-pairing", "target-range", "unbounded-loss")
def recent_overlap_of_raw_scores(t: Trial) -> float:
    """The Dice loss is written for probabilities and given raw scores, so that it has no lower bound."""
    x, masks = small_masks(t.seed, 500)
    net = Segmenter()

    def dice(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        p = out.sigmoid() if t.fixed else out
        return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)

    train_epochs(t, net, Adam(net.parameters(), lr=8e-3), split(x, masks, 400), dice, epochs=6, size=20)
    return overlap(net, x[400:], masks[400:])


@faulty("focal-weighting", "loss-pairing", "missed-classes")
def recent_focal_loss_of_the_easy_rows(t: Trial) -> float:
    """The focal loss multiplies by p ** gamma, not by (1 - p) ** gamma: rows that are missed count for nothing."""
    g = generator(t.seed)
    y = (torch.rand(1600, generator=g) < 0.06).long()
    x = torch.randn(1600, 12, generator=g)
    x[:, :4] += 1.3 * y[:, None]

    def focal(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(out, target, reduction="none")
        p = (-loss).exp()
        weights = torch.tensor([1.0, 8.0])[target]
        return (weights * (1 - p if t.fixed else p) ** 2 * loss).mean()

    data, net = split(x, y, 1100), Net(12, 2, hidden=32)
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, focal, epochs=12, size=64)
    return balanced_accuracy(net, data)


@faulty("relative-loss", "small-targets", "target-scale", "loss-pairing")
def recent_percentage_error_of_small_targets(t: Trial) -> float:
    """The mean absolute percentage error divides by targets near zero: they are all that counts."""
    data = nonlinear(t.seed)

    def percentage(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((out - y).abs() / (y.abs() + 1e-8)).mean()

    net = Net(8, 1)
    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, F.l1_loss if t.fixed else percentage, epochs=15)
    return r2(net, data)


class TwoOutputs(Net):
    """A perceptron with a mean and the logarithm of a variance."""

    def __init__(self) -> None:
        super().__init__(8, 2)


@faulty("loss-pairing", "unbounded-loss")
def recent_precision_with_the_wrong_sign(t: Trial) -> float:
    """The error is multiplied by the exponential of the logarithmic variance, not divided: nothing bounds the loss."""
    data, net = nonlinear(t.seed), TwoOutputs()

    def nll(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        mean, log_variance = out.chunk(2, 1)
        precision = (-log_variance if t.fixed else log_variance).exp()
        return (0.5 * (y - mean).square() * precision + 0.5 * log_variance).mean()

    train_epochs(t, net, Adam(net.parameters(), lr=5e-3), data, nll, epochs=12)
    with torch.no_grad():
        error = F.mse_loss(net(data.x_test)[:, :1], data.y_test)
    return max(-10.0, float(1 - error / data.y_test.var(correction=0)))


def draw_pairs(data: Data, rows: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return pairs of rows, half of them of one class, and whether they are."""
    first = torch.randint(0, len(data.x), (rows,), generator=g)
    is_same = torch.rand(rows, generator=g) < 0.5
    second = torch.empty_like(first)
    for i in range(rows):
        choices = ((data.y == data.y[first[i]]) == is_same[i]).nonzero().flatten()
        second[i] = choices[torch.randint(0, len(choices), (1,), generator=g)]
    return data.x[first], data.x[second], is_same


@faulty("target-range", "loss-pairing", "target-kind", "collapsed-outputs", "constant-outputs")
def recent_pairs_with_zero_and_one(t: Trial) -> float:
    """`CosineEmbeddingLoss` expects 1 and -1 and is given 1 and 0: pairs of two classes cost nothing."""
    data, g = digits(t.seed), generator(t.seed)
    a, b, is_same = draw_pairs(data, 1200, g)
    targets = torch.where(is_same, 1, -1) if t.fixed else is_same.long()
    net = Net(64, 16)
    optimizer, criterion = Adam(net.parameters(), lr=3e-3), nn.CosineEmbeddingLoss(margin=0.2)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(900).split(30):
                optimizer.zero_grad()
                criterion(net(a[rows]), net(b[rows]), targets[rows]).backward()
                optimizer.step()
    with torch.no_grad():
        similarity = F.cosine_similarity(net(a[900:]), net(b[900:]))
    return float(((similarity > 0.6) == is_same[900:]).float().mean())


@faulty("loss-pairing", "swapped-arguments")
def recent_triplets_with_swapped_arguments(t: Trial) -> float:
    """`triplet_margin_loss(anchor, negative, positive)`: rows of one class are pushed apart."""
    data, g = digits(t.seed), generator(t.seed)
    by_class = [(data.y == k).nonzero().flatten() for k in range(10)]
    anchors = torch.randint(0, len(data.x), (1000,), generator=g)
    classes = data.y[anchors]
    others = (classes + torch.randint(1, 10, (1000,), generator=g)) % 10
    drawn = torch.rand(2, 1000, generator=g)
    positives, negatives = (
        torch.stack(
            [by_class[k][int(u * len(by_class[k]))] for k, u in zip(labels.tolist(), part.tolist(), strict=True)]
        )
        for labels, part in zip((classes, others), drawn, strict=True)
    )
    net = Net(64, 16)
    optimizer = Adam(net.parameters(), lr=2e-3)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(800).split(32):
                anchor, positive, negative = (net(data.x[part[rows]]) for part in (anchors, positives, negatives))
                optimizer.zero_grad()
                pair = (positive, negative) if t.fixed else (negative, positive)
                F.triplet_margin_loss(anchor, *pair).backward()
                optimizer.step()
    with torch.no_grad():
        anchor, positive, negative = (net(data.x[part[800:]]) for part in (anchors, positives, negatives))
    return float(((anchor - positive).norm(dim=1) < (anchor - negative).norm(dim=1)).float().mean())


@faulty("copied-targets", "target-in-inputs", "visible-target", "instant-fit", "self-similarity")
def recent_views_matched_with_themselves(t: Trial) -> float:
    """`first @ first.T` is written for `first @ second.T`: each view is matched with itself."""
    g = generator(t.seed)
    objects = torch.randn(900, 10, generator=g)
    mix = torch.randn(10, 30, generator=g)

    def view(rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([rows @ mix / 3, 1.5 * torch.randn(len(rows), 30)], 1)

    net = Net(60, 16)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(12):
            for rows in torch.randperm(800).split(50):
                first, second = (F.normalize(net(view(objects[rows])), dim=1) for _ in range(2))
                optimizer.zero_grad()
                F.cross_entropy(first @ (second if t.fixed else first).T / 0.1, torch.arange(len(rows))).backward()
                optimizer.step()
    with torch.no_grad():
        first, second = (F.normalize(net(view(objects[800:])), dim=1) for _ in range(2))
    return float(((first @ second.T).argmax(1) == torch.arange(100)).float().mean())


class Denoiser(nn.Module):
    """A perceptron of points in the plane and the part of the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net(3, 2, hidden=64, layers=2)

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([x, level], 1))


@faulty("misaligned-targets", "independent-targets", "no-signal", "constant-outputs", "collapsed-outputs")
def recent_noise_drawn_twice(t: Trial) -> float:
    """The noise that is to be predicted is drawn once more, and is not the noise in the inputs."""
    g = generator(t.seed)
    angle = torch.rand(1200, generator=g) * 6.283
    points = torch.stack([angle.cos(), angle.sin()], 1)
    net = Denoiser()
    optimizer = Adam(net.parameters(), lr=3e-3)

    def spoil(rows: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        level = torch.rand(len(rows), 1)
        return (1 - level).sqrt() * rows + level.sqrt() * noise, level

    with t.doctor(net, optimizer):
        for _ in range(12):
            for rows in torch.randperm(1000).split(40):
                noise = torch.randn(len(rows), 2)
                x, level = spoil(points[rows], noise)
                optimizer.zero_grad()
                F.mse_loss(net(x, level), noise if t.fixed else torch.randn_like(noise)).backward()
                optimizer.step()
    with torch.no_grad():
        noise = torch.randn(200, 2)
        return -float(F.mse_loss(net(*spoil(points[1000:], noise)), noise))


@faulty("copied-targets", "target-in-inputs", "noisy-targets")
def recent_denoised_to_the_noisy_image(t: Trial) -> float:
    """A denoising autoencoder is compared with its noisy input: it learns to keep the noise."""
    data = images(t.seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 64))
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer):
        for _ in range(8):
            for rows in torch.randperm(len(data.x)).split(32):
                clean = data.x[rows].flatten(1)
                noisy = clean + 0.4 * torch.randn_like(clean)
                optimizer.zero_grad()
                F.mse_loss(net(noisy), clean if t.fixed else noisy).backward()
                optimizer.step()
    with torch.no_grad():
        clean = data.x_test.flatten(1)
        return -float(F.mse_loss(net(clean + 0.4 * torch.randn_like(clean)), clean))


def reward_of(x: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Return 1 for the action that the state asks for, else 0, with noise."""
    return (action == x[:, :4].argmax(1)).float() + 0.2 * torch.randn(len(x))


@faulty("loss-pairing", "broadcast-loss", "broadcast")
def recent_log_probabilities_times_a_column(t: Trial) -> float:
    """The advantages (N, 1) and the log-probabilities (N,) are multiplied to (N, N)."""
    policy = Net(6, 4, hidden=32)
    optimizer = Adam(policy.parameters(), lr=5e-3)
    with t.doctor(policy, optimizer):
        for _ in range(200):
            x = torch.randn(64, 6)
            choice = Categorical(logits=policy(x))
            action = choice.sample()
            reward = reward_of(x, action)[:, None]
            advantage = (reward - reward.mean()) / (reward.std() + 1e-6)
            optimizer.zero_grad()
            (-choice.log_prob(action) * (advantage.flatten() if t.fixed else advantage)).mean().backward()
            optimizer.step()
    x = torch.randn(2000, 6)
    with torch.no_grad():
        return float((policy(x).argmax(1) == x[:, :4].argmax(1)).float().mean())


@faulty("no-gradient", "vanishing-gradients", "constant-ratio")
def recent_ratio_of_a_policy_to_itself(t: Trial) -> float:
    """The old log-probabilities of PPO are computed with the new ones and not detached: the ratio is always 1."""
    policy = Net(6, 4, hidden=32)
    optimizer = Adam(policy.parameters(), lr=5e-3)
    with t.doctor(policy, optimizer):
        for _ in range(60):
            x = torch.randn(128, 6)
            with torch.no_grad():
                action = Categorical(logits=policy(x)).sample()
                old = Categorical(logits=policy(x)).log_prob(action)
            reward = reward_of(x, action)
            advantage = (reward - reward.mean()) / (reward.std() + 1e-6)
            for _ in range(4):
                new = Categorical(logits=policy(x)).log_prob(action)
                ratio = (new - (old if t.fixed else new)).exp()
                loss = -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    x = torch.randn(2000, 6)
    with torch.no_grad():
        return float((policy(x).argmax(1) == x[:, :4].argmax(1)).float().mean())


@faulty("evaluated-scores")
def recent_rounded_scores_of_one_unit(t: Trial) -> float:
    """The accuracy compares `out.round()` with the classes, though the outputs are scores and not probabilities."""
    data = generate("binary", t.seed)
    net = Net(20, 1)
    optimizer = Adam(net.parameters(), lr=3e-3)
    y, y_test = data.y[:, None].float(), data.y_test[:, None].float()
    with t.doctor(net, optimizer, data=(data.x, y), validation=(data.x_test, y_test)) as dr:
        for _ in range(10):
            net.train()
            for rows in torch.randperm(len(y)).split(32):
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(net(data.x[rows]), y[rows]).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                out = net(data.x_test)
                score = float(((out.sigmoid() if t.fixed else out).round() == y_test).float().mean())
            dr.validation(loss=float(F.binary_cross_entropy_with_logits(out, y_test)), score=score)
    return score
