"""Trainings with a loss that does not fit the output or the targets.

Programs come in pairs of the same kind on different data: odd ones are for development, even ones are held out.
"""

from __future__ import annotations

import torch
from benchmarks.doctor.datasets import diabetes, generate, images, table
from benchmarks.doctor.harness import (
    Trial,
    accuracy,
    binary_accuracy,
    faulty,
    lenet,
    mlp,
    r2,
    train,
)
from torch import nn
from torch.nn import functional as F

Adam, SGD = torch.optim.Adam, torch.optim.SGD


@faulty("loss-pairing")
def softmax_before_cross_entropy(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    if not t.fixed:
        model.append(nn.Softmax(dim=1))
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("loss-pairing")
def softmax_in_forward_before_cross_entropy(t: Trial) -> float:
    data = images(t.seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 8, 3), nn.Linear(8 * 9, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(F.relu(self.conv(x)), 2).flatten(1)
            return self.fc(x) if t.fixed else F.softmax(self.fc(x), dim=1)

    model, criterion = Net(), nn.CrossEntropyLoss()
    train(t, model, SGD(model.parameters(), lr=0.05, momentum=0.9), data, criterion, steps=150)
    return accuracy(model, data)


@faulty("loss-pairing")
def sigmoid_before_cross_entropy(t: Trial) -> float:
    data = generate("blobs", t.seed)
    model = mlp(20, 32, 6)
    if not t.fixed:
        model.append(nn.Sigmoid())
    train(t, model, SGD(model.parameters(), lr=0.05), data, steps=150)
    return accuracy(model, data)


@faulty("loss-pairing")
def sigmoid_before_cross_entropy_of_a_table(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.0)
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.1),
        data,
        lambda out, y: criterion(out if t.fixed else torch.sigmoid(out), y),
        steps=200,
    )
    return accuracy(model, data)


@faulty("loss-pairing")
def relu_before_cross_entropy(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    if not t.fixed:
        model.append(nn.ReLU())
    train(t, model, SGD(model.parameters(), lr=0.1), data)
    return accuracy(model, data)


@faulty("loss-pairing")
def relu_at_the_end_of_a_convolution(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    last = (lambda z: z) if t.fixed else F.relu
    train(t, model, SGD(model.parameters(), lr=0.1), data, lambda out, y: F.cross_entropy(last(out), y))
    return accuracy(model, data)


@faulty("loss-pairing")
def nll_on_raw_outputs(t: Trial) -> float:
    data = table("iris", t.seed)
    model = mlp(4, 16, 3)
    train(t, model, SGD(model.parameters(), lr=0.05), data, F.cross_entropy if t.fixed else F.nll_loss)
    return accuracy(model, data)


@faulty("loss-pairing")
def nll_on_probabilities(t: Trial) -> float:
    data = images(t.seed)
    model = lenet()
    last = nn.LogSoftmax(1) if t.fixed else nn.Softmax(1)
    criterion = nn.NLLLoss()
    train(t, model, SGD(model.parameters(), lr=0.1), data, lambda out, y: criterion(last(out), y), steps=150)
    return accuracy(model, data)


@faulty("loss-pairing")
def sigmoid_twice(t: Trial) -> float:
    data = table("breast_cancer", t.seed)
    model = mlp(30, 16, 1)
    last = (lambda z: z) if t.fixed else torch.sigmoid
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.01),
        data,
        lambda out, y: F.binary_cross_entropy_with_logits(last(out).squeeze(1), y.float()),
        steps=150,
    )
    return binary_accuracy(nn.Sequential(model) if t.fixed else nn.Sequential(model, nn.Sigmoid()), data)


@faulty("loss-pairing")
def sigmoid_twice_in_the_network(t: Trial) -> float:
    data = generate("binary", t.seed)
    model = mlp(20, 16, 1)
    if not t.fixed:
        model.append(nn.Sigmoid())
    criterion = nn.BCEWithLogitsLoss()
    train(t, model, Adam(model.parameters(), lr=1e-2), data, lambda out, y: criterion(out, y.float()[:, None]))
    return binary_accuracy(model, data)


@faulty("loss-pairing")
def softmax_of_one_unit(t: Trial) -> float:
    data = generate("moons", t.seed)
    model = mlp(2, 16, 1)
    model.append(nn.Sigmoid() if t.fixed else nn.Softmax(dim=1))
    train(
        t, model, Adam(model.parameters(), lr=1e-2), data, lambda out, y: F.binary_cross_entropy(out[:, 0], y.float())
    )
    return binary_accuracy(model, data, 0.5)


@faulty("loss-pairing")
def softmax_of_one_unit_and_squares(t: Trial) -> float:
    data = table("breast_cancer", t.seed)
    model = mlp(30, 16, 1)
    model.append(nn.Sigmoid() if t.fixed else nn.Softmax(dim=-1))
    train(t, model, SGD(model.parameters(), lr=0.1), data, lambda out, y: ((out[:, 0] - y) ** 2).mean())
    return binary_accuracy(model, data, 0.5)


@faulty("loss-pairing")
def softmax_over_the_batch(t: Trial) -> float:
    data = table("wine", t.seed)
    model = mlp(13, 16, 3)
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.05),
        data,
        lambda out, y: F.nll_loss(F.log_softmax(out, dim=1 if t.fixed else 0), y),
        steps=60,
    )
    return accuracy(model, data)


@faulty("loss-pairing")
def softmax_module_over_the_batch(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 32, 10)
    model.append(nn.Softmax(dim=1 if t.fixed else 0))

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -torch.log(out[torch.arange(len(y)), y] + 1e-9).mean()

    train(t, model, SGD(model.parameters(), lr=0.1), data, loss)
    return accuracy(model, data)


@faulty("loss-pairing")
def broadcast_regression(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 16, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((out - (y if t.fixed else y.squeeze(1))) ** 2).mean()

    train(t, model, SGD(model.parameters(), lr=0.05), data, loss)
    return r2(model, data)


@faulty("loss-pairing")
def broadcast_absolute_error(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 1)

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (out.squeeze(1) - (y.squeeze(1) if t.fixed else y)).abs().mean()

    train(t, model, Adam(model.parameters(), lr=5e-3), data, loss)
    return r2(model, data)


@faulty("loss-pairing")
def negative_cross_entropy(t: Trial) -> float:
    data = table("digits", t.seed)
    model = mlp(64, 16, 10)
    sign = 1 if t.fixed else -1
    train(t, model, SGD(model.parameters(), lr=1e-2), data, lambda out, y: sign * F.cross_entropy(out, y))
    return accuracy(model, data)


@faulty("loss-pairing")
def negative_squared_error(t: Trial) -> float:
    data = generate("regression", t.seed)
    model = mlp(20, 1)
    train(
        t,
        model,
        SGD(model.parameters(), lr=1e-2),
        data,
        lambda out, y: F.mse_loss(out, y) if t.fixed else -F.mse_loss(out, y),
        steps=100,
    )
    return r2(model, data)


@faulty("target-range")
def sigmoid_on_wide_targets(t: Trial) -> float:
    data = diabetes(t.seed)
    model = mlp(10, 16, 1)
    if not t.fixed:
        model.append(nn.Sigmoid())
    train(t, model, SGD(model.parameters(), lr=0.05), data, F.mse_loss)
    return r2(model, data)


@faulty("target-range")
def relu_on_negative_targets(t: Trial) -> float:
    data = generate("regression", t.seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(20, 32), nn.Linear(32, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.b(F.relu(self.a(x)))
            return x if t.fixed else F.relu(x)

    model = Net()
    train(t, model, Adam(model.parameters(), lr=5e-3), data, nn.SmoothL1Loss())
    return r2(model, data)


@faulty("target-range")
def classes_one_and_two(t: Trial) -> float:
    data = generate("binary", t.seed)
    model = mlp(20, 16, 1)
    offset = 0.0 if t.fixed else 1.0
    train(
        t,
        model,
        SGD(model.parameters(), lr=0.1),
        data,
        lambda out, y: F.binary_cross_entropy_with_logits(out.squeeze(1), y.float() + offset),
    )
    return binary_accuracy(model, data)


@faulty("target-range")
def tanh_on_wide_targets(t: Trial) -> float:
    data = generate("friedman", t.seed)
    model = mlp(10, 32, 1)
    train(
        t,
        model,
        Adam(model.parameters(), lr=5e-3),
        data,
        lambda out, y: ((out if t.fixed else torch.tanh(out)) - y).pow(2).mean(),
    )
    return r2(model if t.fixed else nn.Sequential(model, nn.Tanh()), data)
