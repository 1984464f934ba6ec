"""The book's training loop for convolutional networks, on one device."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l import figure_files
from yisheng.d2l.animation import Animator
from yisheng.d2l.evaluation import Accumulator, accuracy, evaluate_accuracy_gpu, move_batch
from yisheng.d2l.notices import limit_epochs
from yisheng.d2l.timing import Timer
from yisheng.d2l.watching import create_lazy_layers, watch

DRAWINGS_PER_EPOCH = 5


def train_ch6(
    net: nn.Module,
    train_iter: Any,
    test_iter: Any,
    num_epochs: int,
    lr: float,
    device: torch.device | str,
    *,
    doctor: bool = False,
) -> None:
    """Train a network from new Xavier weights with SGD and cross-entropy, draw its curves and print its results.

    Linear and convolution layers get uniform Xavier weights. The network is moved to the device, and is left in
    evaluation mode.

    Args:
        net: a classifier.
        train_iter: batches ``(X, y)`` to train on.
        test_iter: batches to evaluate on after each epoch.
        num_epochs: passes over the training batches; fewer with ``YISHENG_D2L_FAST=1``.
        lr: learning rate.
        device: where to compute, as ``try_gpu()``.
        doctor: watch the training with the doctor and show what it finds.

    Raises:
        UsageError: there are no batches.

    Yisheng's own: ``yisheng.train(data="fashion-mnist", model=net, init="xavier-uniform", optimizer="sgd", lr=0.9)``.
    """
    num_epochs = limit_epochs(num_epochs)
    require_batches(train_iter)
    create_lazy_layers(net, train_iter)
    net.apply(_init_xavier)
    net.to(device)
    print("training on", device)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    loss = nn.CrossEntropyLoss()
    animator = Animator(xlabel="epoch", xlim=[1, num_epochs], legend=["train loss", "train acc", "test acc"])
    timer, metric, test_acc, num_batches = Timer(), Accumulator(3), float("nan"), len(train_iter)
    timer.times.clear()
    with watch(net, optimizer, doctor) as report_accuracy:
        for epoch in range(num_epochs):
            metric = Accumulator(3)
            net.train()
            for i, (X, y) in enumerate(train_iter):
                timer.start()
                optimizer.zero_grad()
                X, y = move_batch(X, y, torch.device(device))
                y_hat = net(X)
                value = loss(y_hat, y)
                value.backward()
                optimizer.step()
                metric.add(float(value.detach()) * len(y), accuracy(y_hat.detach(), y), len(y))
                timer.stop()
                if is_drawn(i, num_batches):
                    fractions = (metric[0] / metric[2], metric[1] / metric[2], None)
                    animator.add(epoch + (i + 1) / num_batches, fractions)
            test_acc = evaluate_accuracy_gpu(net, test_iter)
            report_accuracy(test_acc)
            animator.add(epoch + 1, (None, None, test_acc))
    figure_files.flush()
    if metric[2]:
        print(f"loss {metric[0] / metric[2]:.3f}, train acc {metric[1] / metric[2]:.3f}, test acc {test_acc:.3f}")
        print(f"{metric[2] * num_epochs / timer.sum():.1f} examples/sec on {device}")


def require_batches(train_iter: Sized) -> None:
    """Check that there is something to train on.

    Raises:
        UsageError: there are no batches.
    """
    if not len(train_iter):
        raise UsageError(Message("there is no batch to train on"), Message("give a loader with at least one batch"))


def is_drawn(i: int, num_batches: int) -> bool:
    """Return whether curves are drawn after batch i: five times in an epoch, and at its end."""
    return (i + 1) % max(1, num_batches // DRAWINGS_PER_EPOCH) == 0 or i == num_batches - 1


def _init_xavier(module: nn.Module) -> None:
    """Fill the weight of a linear or convolution layer with uniform Xavier values."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
