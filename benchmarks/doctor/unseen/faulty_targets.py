"""Faulty trainings whose targets are not what their authors think: constant, scaled, shifted, rare, several at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.doctor.datasets import Data, generate, images
from benchmarks.doctor.harness import Trial, accuracy, binary_accuracy, faulty, r2
from benchmarks.doctor.unseen.loop import (
    ConvNet,
    Loss,
    Net,
    balanced_accuracy,
    digits,
    f1,
    fit,
    generator,
    nonlinear,
    split,
)
from sklearn import datasets as sklearn_datasets
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


def with_targets(data: Data, change: Callable[[torch.Tensor], torch.Tensor]) -> Data:
    """Return data whose training targets are changed."""
    return Data(data.x, change(data.y), data.x_test, data.y_test)


# Wrong targets


@faulty("constant-targets", "target-kind")
def labels_all_zero(t: Trial) -> float:
    """Labels of 0 or 1 are divided by 255, as the images are, and cut to whole numbers."""
    data = generate("binary", t.seed)
    if not t.fixed:
        data = Data(data.x, (data.y / 255).long(), data.x_test, (data.y_test / 255).long())
    net = Net(20, 2)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data)
    return accuracy(net, generate("binary", t.seed))


@faulty("constant-targets", "target-kind")
def regression_targets_cut_to_whole_numbers(t: Trial) -> float:
    """Targets from 0 to 1 become 0 by a cast."""
    original = nonlinear(t.seed)
    y = original.y.sigmoid()
    data = Data(original.x, y if t.fixed else y.long().float(), original.x_test, original.y_test.sigmoid())
    net = Net(8, 1)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, F.mse_loss)
    return r2(net, data)


@faulty("soft-targets", "loss-pairing", "high-learning-rate")
def votes_that_are_not_divided(t: Trial) -> float:
    """Counts of 20 to 60 votes are the targets of a cross-entropy, not their fractions."""
    data = images(t.seed)
    g = generator(t.seed)
    votes = torch.randint(20, 60, (len(data.y), 1), generator=g) * F.one_hot(data.y, 10)
    votes = votes + torch.randint(0, 3, votes.shape, generator=g)
    target = votes / votes.sum(1, keepdim=True) if t.fixed else votes.float()
    net = ConvNet()
    optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
    with t.doctor(net, optimizer, data=(data.x, target)):
        for _ in range(4):
            for rows in torch.randperm(len(target)).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(data.x[rows]), target[rows]).backward()
                optimizer.step()
    return accuracy(net, data)


@faulty("target-scale", "soft-targets")
def one_hot_of_255(t: Trial) -> float:
    """One-hot targets come from a mask file and are 0 and 255."""
    data = digits(t.seed)
    target = F.one_hot(data.y, 10).float() * (1 if t.fixed else 255)
    net = Net(64, 10)
    optimizer = SGD(net.parameters(), lr=0.1)
    with t.doctor(net, optimizer, data=(data.x, target)):
        for _ in range(8):
            for rows in torch.randperm(len(target)).split(32):
                optimizer.zero_grad()
                F.mse_loss(net(data.x[rows]), target[rows]).backward()
                optimizer.step()
    return accuracy(net, data)


@faulty("no-signal", "label-noise", "memorization")
def labels_one_row_too_late(t: Trial) -> float:
    """The header of one of two files was read as a row: each row has the label of the row before."""
    data = digits(t.seed) if t.fixed else with_targets(digits(t.seed), lambda y: y.roll(1))
    net = Net(64, 10)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=8)
    return accuracy(net, digits(t.seed))


@faulty("no-signal", "label-noise", "memorization", "underfitting")
def rows_and_targets_shuffled_apart(t: Trial) -> float:
    """Rows and targets are shuffled by two orders in each epoch."""
    data = nonlinear(t.seed)
    net = Net(8, 1)
    optimizer = Adam(net.parameters(), lr=3e-3)
    with t.doctor(net, optimizer, data=(data.x, data.y), validation=(data.x_test, data.y_test)) as dr:
        for _ in range(8):
            order = torch.randperm(len(data.x))
            x, y = data.x[order], data.y[order if t.fixed else torch.randperm(len(data.x))]
            for i in range(0, len(x), 32):
                optimizer.zero_grad()
                F.mse_loss(net(x[i : i + 32]), y[i : i + 32]).backward()
                optimizer.step()
            with torch.no_grad():
                dr.validation(loss=float(F.mse_loss(net(data.x_test), data.y_test)))
    return r2(net, data)


@faulty("permuted-classes", "shifted-rows")
def classes_numbered_otherwise_in_validation(t: Trial) -> float:
    """The folders of the validation images are numbered in another order than those of training."""
    data = images(t.seed)
    order = torch.arange(10) if t.fixed else torch.tensor([0, 1, 10 - 1, 2, 3, 4, 5, 6, 7, 8])
    data = Data(data.x, data.y, data.x_test, order[data.y_test])
    net = ConvNet()
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=5)
    return accuracy(net, data)


@faulty("label-noise")
def four_of_ten_labels_wrong(t: Trial) -> float:
    """Many labels are wrong, and a wide network learns them by heart."""
    data = digits(t.seed)
    g = generator(t.seed)
    wrong = torch.rand(len(data.y), generator=g) < (0.0 if t.fixed else 0.4)
    noisy = torch.where(wrong, torch.randint(0, 10, data.y.shape, generator=g), data.y)
    data = Data(data.x, noisy, data.x_test, data.y_test)
    net = Net(64, 10, hidden=256)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, epochs=15, size=64)
    return accuracy(net, data)


@faulty("target-in-inputs", "instant-fit")
def future_value_in_the_window(t: Trial) -> float:
    """The window of a series ends with the value to predict, which is unknown (0) in use."""
    g = generator(t.seed)
    series = torch.zeros(1500)
    for i in range(2, 1500):
        series[i] = 1.2 * series[i - 1] - 0.8 * series[i - 2] + 0.5 * torch.randn((), generator=g)
    windows = series.unfold(0, 9, 1)
    x, y = windows.clone(), windows[:, 8:]
    if t.fixed:
        x[:, 8] = 0
    data = split(x, y, 1000)
    net = Net(9, 1, hidden=32)
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, F.mse_loss)
    in_use = data.x_test.clone()
    in_use[:, 8] = 0
    return r2(net, Data(data.x, data.y, in_use, data.y_test))


@faulty("target-outliers", "target-scale")
def missing_targets_as_99999(t: Trial) -> float:
    """Five missing targets of 800 are written as -99999."""
    data = nonlinear(t.seed)
    y = data.y.clone()
    if not t.fixed:
        y[torch.randperm(800, generator=generator(t.seed))[:5]] = -99999.0
    data = Data(data.x, y, data.x_test, data.y_test)
    net = Net(8, 1)
    fit(t, net, Adam(net.parameters(), lr=3e-3), data, F.mse_loss)
    return r2(net, data)


@faulty("target-range", "loss-pairing")
def binary_targets_one_and_two(t: Trial) -> float:
    """A binary cross-entropy is given the classes 1 and 2."""
    data = generate("binary", t.seed)
    data = data if t.fixed else Data(data.x, data.y + 1, data.x_test, data.y_test + 1)
    net = Net(20, 1)
    fit(
        t, net, Adam(net.parameters(), lr=3e-3), data,
        lambda out, y: F.binary_cross_entropy_with_logits(out[:, 0], y.float()),
    )  # fmt: skip
    return binary_accuracy(net, generate("binary", t.seed))


@faulty("target-range", "loss-pairing", "target-kind")
def hinge_with_classes_zero_and_one(t: Trial) -> float:
    """The hinge loss needs -1 and 1: rows of class 0 have a slope of zero."""
    data = generate("binary", t.seed)
    net = Net(20, 1)

    def hinge(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        sign = 2 * y - 1 if t.fixed else y
        return F.relu(1 - sign * out[:, 0]).mean()

    fit(t, net, Adam(net.parameters(), lr=3e-3), data, hinge)
    return binary_accuracy(net, data)


# Rare classes


def rare(seed: int, fraction: float, rows: int = 3000) -> Data:
    """Return two classes that overlap, the second with a small fraction of the rows."""
    x, y = sklearn_datasets.make_classification(
        rows, 12, n_informative=6, weights=[1 - fraction], class_sep=1.2, flip_y=0, random_state=seed
    )
    x = (x - x.mean(0)) / x.std(0)
    return split(torch.tensor(x, dtype=torch.float32), torch.tensor(y), rows * 2 // 3)


@faulty("missed-classes", "class-imbalance")
def one_fraud_in_a_hundred(t: Trial) -> float:
    """A cross-entropy without weights learns to answer "no fraud"."""
    data = rare(t.seed, 0.01)
    net = Net(12, 2, hidden=16)
    weight = torch.tensor([1.0, 99.0]) if t.fixed else None
    fit(
        t, net, SGD(net.parameters(), lr=0.02, momentum=0.5), data,
        lambda out, y: F.cross_entropy(out, y, weight=weight), epochs=6,
    )  # fmt: skip
    return balanced_accuracy(net, data)


@faulty("missed-classes", "class-imbalance")
def rare_defects_with_one_unit(t: Trial) -> float:
    """One defect in forty with a single unit and a threshold of one half."""
    data = rare(t.seed + 50, 0.025)
    net = Net(12, 1, hidden=16)
    weight = torch.tensor(39.0) if t.fixed else None
    fit(
        t, net, Adam(net.parameters(), lr=1e-3), data,
        lambda out, y: F.binary_cross_entropy_with_logits(out[:, 0], y.float(), pos_weight=weight), epochs=5, size=64,
    )  # fmt: skip
    return balanced_accuracy(net, data)


@faulty("missed-classes", "class-imbalance")
def class_weights_upside_down(t: Trial) -> float:
    """The weights of the classes are their counts, not the inverse."""
    data = rare(t.seed + 90, 0.12)
    counts = data.y.bincount().float()
    weight = counts.sum() / counts if t.fixed else counts / counts.sum()
    net = Net(12, 2, hidden=16)
    fit(
        t, net, Adam(net.parameters(), lr=2e-3), data,
        lambda out, y: F.cross_entropy(out, y, weight=weight), epochs=5,
    )  # fmt: skip
    return balanced_accuracy(net, data)


@faulty("missed-classes", "class-imbalance")
def long_tail_of_digits(t: Trial) -> float:
    """Five of ten classes have four rows each."""
    data = digits(t.seed)
    keep = torch.cat([(data.y == k).nonzero()[:, 0][: 4 if k >= 5 else None] for k in range(10)])
    data = Data(data.x[keep], data.y[keep], data.x_test, data.y_test)
    weight = 1 / data.y.bincount().float() if t.fixed else None
    net = Net(64, 10, hidden=32)
    fit(
        t, net, SGD(net.parameters(), lr=0.02), data,
        lambda out, y: F.cross_entropy(out, y, weight=weight), epochs=12,
    )  # fmt: skip
    return balanced_accuracy(net, data)


# Several labels at once


def tags(seed: int, labels: int = 12, probability: float = 0.25) -> Data:
    """Return rows with several labels at once."""
    g = generator(seed)
    x = torch.randn(1500, 20, generator=g)
    score = x @ torch.randn(20, labels, generator=g)
    cut = score.quantile(1 - probability, 0)
    return split(x, (score > cut).float(), 1000)


def softmax_and_squares(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the squared error of a softmax, as a network of one label would be trained."""
    return F.mse_loss(out.softmax(1), y)


def train_tags(t: Trial, data: Data, wrong: Loss, correct: Loss = F.binary_cross_entropy_with_logits) -> float:
    """Train with one of two losses; return the F1 score."""
    net = Net(20, data.y.shape[1])
    fit(t, net, Adam(net.parameters(), lr=5e-3), data, correct if t.fixed else wrong)
    return f1(net, data)


@faulty("soft-targets", "loss-pairing")
def several_labels_with_a_softmax(t: Trial) -> float:
    """A softmax makes the labels compete, although each row has several."""
    return train_tags(t, tags(t.seed), softmax_and_squares)


@faulty("soft-targets", "loss-pairing")
def several_labels_with_cross_entropy(t: Trial) -> float:
    """The cross-entropy of one class is given rows of several labels."""
    return train_tags(t, tags(t.seed, 8, 0.4), F.cross_entropy)


@faulty("missed-classes", "class-imbalance")
def rare_labels_never_predicted(t: Trial) -> float:
    """Each label is on one row in fifty, and the answer "none" is nearly always right."""
    data = tags(t.seed, 20, 0.02)
    weight = torch.full((20,), 20.0)
    net = Net(20, 20, hidden=32)
    fit(
        t, net, SGD(net.parameters(), lr=0.1, momentum=0.9), data,
        lambda out, y: F.binary_cross_entropy_with_logits(out, y, pos_weight=weight if t.fixed else None), epochs=5,
    )  # fmt: skip
    return f1(net, data)
