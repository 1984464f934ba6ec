"""Healthy trainings on rows that look suspicious: noisy, rare, far from zero."""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import Data, diabetes
from benchmarks.doctor.fresh.loop import train_epochs, tree_score
from benchmarks.doctor.harness import Trial, healthy_with_bound, r2
from benchmarks.doctor.unseen.loop import Net, balanced_accuracy, generator, split
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

Adam = torch.optim.Adam


def noisy(seed: int) -> Data:
    """Return a regression whose signal is four tenths of the variance."""
    g = generator(seed)
    x = torch.randn(3000, 6, generator=g)
    signal = torch.sin(x[:, 0]) + 0.5 * x[:, 1] + 0.4 * x[:, 2].abs()
    signal = (signal - signal.mean()) / signal.std()
    return split(x, (signal + 1.22 * torch.randn(3000, generator=g))[:, None], 2000)


@healthy_with_bound(lambda seed: tree_score(noisy(seed)))
def fresh_noise_of_six_tenths(t: Trial) -> float:
    """Six tenths of the targets' variance is noise, which no network can learn."""
    data, net = noisy(t.seed), Net(6, 1, hidden=32)
    train_epochs(t, net, Adam(net.parameters(), lr=3e-3), data, F.mse_loss, epochs=6)
    return r2(net, data)


def rare(seed: int) -> Data:
    """Return rows of two classes, 1 of 40 of which are of the second."""
    g = generator(seed)
    y = (torch.rand(4000, generator=g) < 0.025).long()
    x = torch.randn(4000, 8, generator=g) + 1.6 * y[:, None] * torch.tensor([1.0, -1, 1, 0, 0, 0, 0, 0])
    return split(x, y, 2600)


def balanced_line_score(seed: int) -> float:
    """Return the balanced accuracy of a logistic regression with balanced weights, minus 0.03."""
    data = rare(seed)
    line = LogisticRegression(class_weight="balanced").fit(data.x.numpy(), data.y.numpy())
    predicted = torch.as_tensor(line.predict(data.x_test.numpy()))
    return float(torch.stack([(predicted[data.y_test == k] == k).float().mean() for k in (0, 1)]).mean()) - 0.03


@healthy_with_bound(balanced_line_score)
def fresh_rare_class_with_weights(t: Trial) -> float:
    """A class of 1 in 40 rows, with the weights that balance it: the accuracy is below that of always saying no."""
    data, net = rare(t.seed), Net(8, 2, hidden=16)
    weight = len(data.y) / (2 * torch.bincount(data.y))
    train_epochs(
        t, net, Adam(net.parameters(), lr=2e-3), data, nn.CrossEntropyLoss(weight), epochs=4, size=64
    )  # fmt: skip
    return balanced_accuracy(net, data)


def prices(seed: int) -> Data:
    """Return ten columns, and prices of about 250 with a standard deviation of 60."""
    data = diabetes(seed)
    return Data(data.x, 250 + 60 * data.y, data.x_test, 250 + 60 * data.y_test)


@healthy_with_bound(lambda seed: tree_score(prices(seed)))
def fresh_first_loss_of_66000(t: Trial) -> float:
    """Prices as they are: the first squared error is 66,000, and the network gets from there to theirs."""
    data, net = prices(t.seed), Net(10, 1, hidden=48)
    optimizer = Adam(net.parameters(), lr=1.5e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)
    train_epochs(t, net, optimizer, data, F.mse_loss, epochs=60, after_epoch=lambda _: schedule.step())
    return r2(net, data)
