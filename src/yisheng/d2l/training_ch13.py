"""The book's training loop for several devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from yisheng.d2l import figure_files
from yisheng.d2l.animation import Animator
from yisheng.d2l.devices import try_all_gpus
from yisheng.d2l.evaluation import Accumulator, Loss, accuracy, evaluate_accuracy_gpu, move_batch, sum_loss
from yisheng.d2l.notices import limit_epochs
from yisheng.d2l.timing import Timer
from yisheng.d2l.training_ch6 import is_drawn, require_batches
from yisheng.d2l.watching import create_lazy_layers, watch


def train_batch_ch13(
    net: nn.Module,
    X: Any,
    y: torch.Tensor,
    loss: Loss,
    trainer: torch.optim.Optimizer,
    devices: Sequence[torch.device],
) -> tuple[torch.Tensor, float]:
    """Train on one batch; return the sum of its losses and the number of right predictions.

    Args:
        net: the network.
        X: inputs, or a list of them.
        y: labels.
        loss: of outputs and labels, one value for each row (``reduction="none"``) or their mean.
        trainer: the optimizer.
        devices: the batch is moved to the first one.

    Yisheng's own: ``yisheng.fit(model=net, ...)``.
    """
    X, y = move_batch(X, y, devices[0])
    net.train()
    trainer.zero_grad()
    outputs = net(X)
    values = loss(outputs, y)
    values.sum().backward()
    trainer.step()
    return torch.tensor(sum_loss(values.detach(), loss, len(y))), accuracy(outputs.detach(), y)


def train_ch13(
    net: nn.Module,
    train_iter: Any,
    test_iter: Any,
    loss: Loss,
    trainer: torch.optim.Optimizer,
    num_epochs: int,
    devices: Sequence[torch.device] | None = None,
    *,
    doctor: bool = False,
) -> None:
    """Train a network on one or more devices, draw its curves and print its results.

    The network is left in evaluation mode.

    Args:
        net: a classifier.
        train_iter: batches ``(X, y)`` to train on.
        test_iter: batches to evaluate on after each epoch.
        loss: of outputs and labels, one value for each row (``reduction="none"``).
        trainer: the optimizer of the network's parameters.
        num_epochs: passes over the training batches; fewer with ``YISHENG_D2L_FAST=1``.
        devices: by default all GPUs, or the CPU. Several share each batch (`torch.nn.DataParallel`).
        doctor: watch the training with the doctor and show what it finds.

    Raises:
        UsageError: there are no batches.

    Yisheng's own: ``yisheng.train(data="photos/", model="resnet18", weights="imagenet", epochs=5)`` for fine-tuning,
    with ``augment=[...]`` for augmentation.
    """
    devices = list(try_all_gpus() if devices is None else devices)
    num_epochs = limit_epochs(num_epochs)
    require_batches(train_iter)
    timer, num_batches = Timer(), len(train_iter)
    timer.times.clear()
    legend = ["train loss", "train acc", "test acc"]
    animator = Animator(xlabel="epoch", xlim=[1, num_epochs], ylim=[0, 1], legend=legend)
    create_lazy_layers(net, train_iter)
    net.to(devices[0])
    parallel = nn.DataParallel(net, device_ids=devices) if len(devices) > 1 else net
    metric, test_acc = Accumulator(4), float("nan")
    with watch(net, trainer, doctor) as report_accuracy:
        for epoch in range(num_epochs):
            metric = Accumulator(4)
            for i, (X, y) in enumerate(train_iter):
                timer.start()
                batch_loss, hits = train_batch_ch13(parallel, X, y, loss, trainer, devices)
                metric.add(batch_loss, hits, len(y), y.numel())
                timer.stop()
                if is_drawn(i, num_batches):
                    fractions = (metric[0] / metric[2], metric[1] / metric[3], None)
                    animator.add(epoch + (i + 1) / num_batches, fractions)
            test_acc = evaluate_accuracy_gpu(parallel, test_iter)
            report_accuracy(test_acc)
            animator.add(epoch + 1, (None, None, test_acc))
    figure_files.flush()
    if metric[2]:
        print(f"loss {metric[0] / metric[2]:.3f}, train acc {metric[1] / metric[3]:.3f}, test acc {test_acc:.3f}")
        print(f"{metric[2] * num_epochs / timer.sum():.1f} examples/sec on {[str(device) for device in devices]}")
