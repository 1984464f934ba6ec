"""The book's training loop for softmax regression and multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message, join_messages, translate
from yisheng.d2l import figure_files
from yisheng.d2l.animation import Animator
from yisheng.d2l.evaluation import Accumulator, Loss, Network, accuracy, evaluate_accuracy, sum_loss
from yisheng.d2l.fashion_mnist import get_fashion_mnist_labels
from yisheng.d2l.figures import show_images
from yisheng.d2l.notices import announce, announce_once, is_fast, limit_epochs
from yisheng.d2l.watching import create_lazy_layers, watch

Updater = torch.optim.Optimizer | Callable[[int], Any]
MAX_LOSS, MIN_ACCURACY = 0.5, 0.7
"""What the book expects of a training on Fashion-MNIST."""


def train_epoch_ch3(net: Network, train_iter: Iterable[Any], loss: Loss, updater: Updater) -> tuple[float, float]:
    """Train one epoch; return the mean loss and the fraction of right predictions during it.

    Args:
        net: a module or a function from inputs to outputs.
        train_iter: batches ``(X, y)``.
        loss: of outputs and labels, one value for each row (``reduction="none"``) or their mean.
        updater: a torch optimizer, or a function that updates the parameters and takes the batch size.

    Raises:
        UsageError: there are no batches.

    Yisheng's own: ``yisheng.fit(...)``, whose events a loop of your own receives.
    """
    if isinstance(net, nn.Module):
        net.train()
    metric = Accumulator(3)
    for X, y in train_iter:
        y_hat = net(X)
        values = loss(y_hat, y)
        if isinstance(updater, torch.optim.Optimizer):
            updater.zero_grad()
            values.mean().backward()
            updater.step()
        else:
            if values.ndim == 0 and getattr(loss, "reduction", "mean") == "mean":
                announce_once(
                    Message(
                        "the loss returns one number for a batch; if that is the mean, the updater must not divide "
                        'by the batch size again: use reduction="none"'
                    )
                )
            values.sum().backward()
            updater(X.shape[0])
        metric.add(sum_loss(values.detach(), loss, y.numel()), accuracy(y_hat, y), y.numel())
    if not metric[2]:
        raise UsageError(Message("there is no batch to train on"), Message("give a loader with at least one batch"))
    return metric[0] / metric[2], metric[1] / metric[2]


def train_ch3(
    net: Network,
    train_iter: Iterable[Any],
    test_iter: Iterable[Any],
    loss: Loss,
    num_epochs: int,
    updater: Updater,
    *,
    doctor: bool = False,
) -> None:
    """Train a classifier and draw its curves; the network is left in evaluation mode.

    Args:
        net: a module or a function from inputs to outputs.
        train_iter: batches ``(X, y)`` to train on.
        test_iter: batches to evaluate on after each epoch.
        loss: of outputs and labels, one value for each row (``reduction="none"``) or their mean.
        num_epochs: passes over the training batches; fewer with ``YISHENG_D2L_FAST=1``.
        updater: a torch optimizer, or a function that updates the parameters and takes the batch size.
        doctor: watch the training with the doctor and show what it finds; for a module and a torch optimizer.

    Raises:
        AssertionError: after the training the loss is not below 0.5, or an accuracy is not above 0.7, which the book
            expects on Fashion-MNIST; announced only with ``YISHENG_D2L_FAST=1``.
        UsageError: the doctor cannot watch a function.

    Yisheng's own: ``yisheng.train(data="fashion-mnist", model=net, optimizer="sgd", lr=0.1, epochs=10)``.
    """
    num_epochs = limit_epochs(num_epochs)
    legend = ["train loss", "train acc", "test acc"]
    animator = Animator(xlabel="epoch", xlim=[1, num_epochs], ylim=[0.3, 0.9], legend=legend)
    train_metrics, test_acc = (float("nan"), float("nan")), float("nan")
    create_lazy_layers(net, train_iter)
    with watch(net, updater, doctor) as report_accuracy:
        for epoch in range(num_epochs):
            train_metrics = train_epoch_ch3(net, train_iter, loss, updater)
            test_acc = evaluate_accuracy(net, test_iter)
            report_accuracy(test_acc)
            animator.add(epoch + 1, (*train_metrics, test_acc))
    figure_files.flush()
    if num_epochs > 0:
        _require_expected_results(*train_metrics, test_acc)


def predict_ch3(net: Network, test_iter: Iterable[Any], n: int = 6) -> None:
    """Show images of the first test batch with their true and predicted classes.

    Args:
        net: a classifier of Fashion-MNIST; a module is used as it is, in training or evaluation mode.
        test_iter: batches ``(X, y)``.
        n: number of images.

    Raises:
        UsageError: there are no batches.

    Yisheng's own: ``run.plot("images")`` and ``run.predict(images)``.
    """
    X, y = next(iter(test_iter), (None, None))
    if X is None or y is None:
        raise UsageError(Message("there is no batch to predict"), Message("give a loader with at least one batch"))
    with torch.no_grad():
        predictions = net(X).argmax(dim=1)
    n = min(n, len(X))
    labels = (get_fashion_mnist_labels(y[:n]), get_fashion_mnist_labels(predictions[:n]))
    titles = [f"{true}\n{prediction}" for true, prediction in zip(*labels, strict=True)]
    show_images(X[:n].reshape(n, *X.shape[-2:]), 1, n, titles=titles)


def _require_expected_results(train_loss: float, train_acc: float, test_acc: float) -> None:
    """Check what the book expects of a training on Fashion-MNIST.

    Raises:
        AssertionError: a result is worse; announced only in fast mode, which trains on few rows.
    """
    problems = []
    if not train_loss < MAX_LOSS:
        loss = f"{train_loss:.3f}"
        problems.append(Message("the training loss is {loss}, expected below {limit}", loss=loss, limit=MAX_LOSS))
    for name, value in ((Message("training"), train_acc), (Message("test"), test_acc)):
        if not MIN_ACCURACY < value <= 1:
            problems.append(
                Message(
                    "the {name} accuracy is {value}, expected above {limit}",
                    name=name,
                    value=f"{value:.3f}",
                    limit=MIN_ACCURACY,
                )
            )
    if not problems:
        return
    problem = translate(join_messages(problems))
    remedy = translate(Message("train longer, change the learning rate, or add doctor=True to see what is wrong"))
    if not is_fast():
        raise AssertionError(f"{problem}\n  {remedy}")
    announce(problem)
    announce(f"  {remedy}")
