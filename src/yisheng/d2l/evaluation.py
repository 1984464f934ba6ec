"""Accuracy and loss of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

Network = nn.Module | Callable[[torch.Tensor], torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Accumulator:
    """Sums of several values.

    Args:
        n: number of sums.

    >>> metric = Accumulator(2)
    >>> metric.add(1, 2.5)
    >>> metric.add(2, 2.5)
    >>> metric[0], metric[1]
    (3.0, 5.0)
    >>> metric.reset()
    >>> metric[0]
    0.0
    """

    def __init__(self, n: int) -> None:
        self.data = [0.0] * n

    def add(self, *args: Any) -> None:
        """Add one value to each sum, in their order.

        Raises:
            UsageError: there are more values than sums.
        """
        if len(args) > len(self.data):
            raise UsageError(
                Message("the accumulator has {sums} sums, got {values} values", sums=len(self.data), values=len(args)),
                Message("create it with Accumulator({count})", count=len(args)),
            )
        for position, value in enumerate(args):
            self.data[position] += float(value.detach() if isinstance(value, torch.Tensor) else value)

    def reset(self) -> None:
        """Set all sums to zero."""
        self.data = [0.0] * len(self.data)

    def __getitem__(self, index: int) -> float:
        return self.data[index]


def accuracy(y_hat: torch.Tensor, y: torch.Tensor) -> float:
    """Return the *number* of right predictions, not their fraction.

    Args:
        y_hat: a value for each class ``(B, C, ...)``, the largest of which is the prediction; or predicted classes.
        y: true classes ``(B, ...)``.

    Raises:
        UsageError: the numbers of predictions and classes differ.

    Yisheng's own: ``run.scores["test"]["accuracy"]``, with an interval.

    >>> accuracy(torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]), torch.tensor([0, 2]))
    1.0
    """
    if y_hat.ndim > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(dim=1)
    if y_hat.shape != y.shape:
        raise UsageError(
            Message(
                "accuracy requires a prediction for each label, got predictions "
                "{predictions_shape} and labels {labels_shape}",
                predictions_shape=tuple(y_hat.shape),
                labels_shape=tuple(y.shape),
            ),
            Message(
                "give outputs of shape (B, C) and labels of shape (B,); y.reshape(-1) removes an axis of length 1",
            ),
        )
    return float((y_hat.type(y.dtype) == y).sum())


def evaluate_accuracy(net: Network, data_iter: Iterable[Any]) -> float:
    """Return the fraction of right predictions of a network on the CPU, which is left in evaluation mode.

    Args:
        net: a module or a function from inputs to outputs.
        data_iter: batches ``(X, y)``.

    Raises:
        UsageError: there are no batches.

    Yisheng's own: ``yisheng.evaluate(net, data)``.
    """
    return (
        evaluate_accuracy_gpu(net, data_iter, None) if isinstance(net, nn.Module) else _evaluate(net, data_iter, None)
    )


def evaluate_accuracy_gpu(net: Network, data_iter: Iterable[Any], device: torch.device | None = None) -> float:
    """Return the fraction of right predictions of a network, which is left in evaluation mode.

    Args:
        net: a module or a function from inputs to outputs.
        data_iter: batches ``(X, y)``; X may be a list of tensors.
        device: where to compute; by default that of the network's first parameter.

    Raises:
        UsageError: there are no batches.

    Yisheng's own: ``yisheng.evaluate(net, data)``.
    """
    if isinstance(net, nn.Module):
        net.eval()
        device = device or next((parameter.device for parameter in net.parameters()), None)
    return _evaluate(net, data_iter, device)


def evaluate_loss(net: Network, data_iter: Iterable[Any], loss: Loss) -> float:
    """Return the mean loss of a network over all values.

    Args:
        net: a module or a function from inputs to outputs.
        data_iter: batches ``(X, y)``.
        loss: of outputs and labels; one value for each output (``reduction="none"``) or their mean.

    Raises:
        UsageError: there are no batches.

    Yisheng's own: ``run.scores["validation"]["loss"]``.
    """
    metric = Accumulator(2)
    with torch.no_grad():
        for X, y in data_iter:
            out = net(X)
            values = loss(out, y.reshape(out.shape) if y.numel() == out.numel() else y)
            metric.add(sum_loss(values, loss, y.numel()), values.numel() if values.ndim else y.numel())
    return _divide(metric)


def sum_loss(values: torch.Tensor, loss: Loss, count: int) -> float:
    """Return the loss summed over a batch, from a value for each row, their mean or their sum.

    Args:
        values: what the loss returned.
        loss: the loss, which knows its reduction if it is a torch module.
        count: rows of the batch.
    """
    is_mean = values.ndim == 0 and getattr(loss, "reduction", "mean") == "mean"
    return float(values.sum()) * (count if is_mean else 1)


def move_batch(X: Any, y: torch.Tensor, device: torch.device) -> tuple[Any, torch.Tensor]:
    """Return a batch on a device; X may be a list of tensors."""
    return [x.to(device) for x in X] if isinstance(X, list) else X.to(device), y.to(device)


def _evaluate(net: Network, data_iter: Iterable[Any], device: torch.device | None) -> float:
    metric = Accumulator(2)
    with torch.no_grad():
        for X, y in data_iter:
            if device is not None:
                X, y = move_batch(X, y, device)
            metric.add(accuracy(net(X), y), y.numel())
    return _divide(metric)


def _divide(metric: Accumulator) -> float:
    if not metric[1]:
        raise UsageError(Message("there is no batch to evaluate"), Message("give a loader with at least one batch"))
    return metric[0] / metric[1]
