"""Linear regression from scratch: data, model, loss and update."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch.utils import data

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

NOISE = 0.01
"""Standard deviation of the noise of `synthetic_data`."""


def synthetic_data(w: torch.Tensor, b: torch.Tensor | float, num_examples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and labels of a line with noise: y = Xw + b + e.

    Args:
        w: weights ``(D,)``.
        b: bias.
        num_examples: rows.

    Returns:
        X ``(N, D)``, drawn from the standard normal distribution, and y ``(N, 1)``; e has the standard deviation 0.01.

    Yisheng's own: ``yisheng.train(data="linear")``.

    >>> X, y = synthetic_data(torch.tensor([2, -3.4]), 4.2, 1000)
    >>> X.shape, y.shape
    (torch.Size([1000, 2]), torch.Size([1000, 1]))
    """
    X = torch.normal(0, 1, (num_examples, len(w)))
    y = torch.matmul(X, w) + b
    return X, (y + torch.normal(0, NOISE, y.shape)).reshape(-1, 1)


def load_array(
    data_arrays: Sequence[torch.Tensor], batch_size: int, is_train: bool = True
) -> data.DataLoader[tuple[torch.Tensor, ...]]:
    """Return a loader of batches of tensors.

    Args:
        data_arrays: tensors with the same number of rows, as ``(features, labels)``.
        batch_size: rows of a batch.
        is_train: shuffle the rows in every epoch.

    Raises:
        UsageError: the tensors have different numbers of rows.

    Yisheng's own: ``yisheng.train(data=(x, y), batch_size=...)``.

    >>> [len(x) for x, y in load_array((torch.ones(5, 2), torch.ones(5)), 2)]
    [2, 2, 1]
    """
    rows = [len(array) for array in data_arrays]
    if len(set(rows)) != 1:
        raise UsageError(
            Message("load_array requires tensors with the same number of rows, got {rows}", rows=rows),
            Message("give features and labels of the same rows: load_array((features, labels), batch_size)"),
        )
    return data.DataLoader(data.TensorDataset(*data_arrays), batch_size, shuffle=is_train)


def linreg(X: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the outputs of linear regression: Xw + b.

    Yisheng's own: ``yisheng.train(model="linear")``; ``yisheng explain linear-regression``.

    >>> linreg(torch.ones(2, 3), torch.ones(3, 1), torch.zeros(1)).tolist()
    [[3.0], [3.0]]
    """
    return torch.matmul(X, w) + b


def squared_loss(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return half the squared error of each output: (y_hat - y)² / 2, neither summed nor averaged.

    Yisheng's own: ``yisheng.train(loss="half-mse")``.

    >>> squared_loss(torch.tensor([[3.0]]), torch.tensor([1.0]))
    tensor([[2.]])
    """
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params: Iterable[torch.Tensor], lr: float, batch_size: int) -> None:
    """Update parameters in place, w ← w − lr g / batch_size, and set their gradients to zero.

    The division belongs to a loss that was summed over the batch.

    Args:
        params: tensors with gradients.
        lr: learning rate.
        batch_size: rows that the gradient was summed over.

    Raises:
        UsageError: a parameter has no gradient.

    Yisheng's own: ``yisheng.train(optimizer="sgd", lr=...)``; ``yisheng explain sgd``.

    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> (3 * w).sum().backward()
    >>> sgd([w], lr=0.1, batch_size=1)
    >>> w, w.grad
    (tensor([0.7000], requires_grad=True), tensor([0.]))
    """
    with torch.no_grad():
        for position, param in enumerate(params):
            if param.grad is None:
                raise UsageError(
                    Message("parameter {position} has no gradient", position=position),
                    Message("create it with requires_grad=True, and call loss.sum().backward() before sgd"),
                )
            param -= lr * param.grad / batch_size
            param.grad.zero_()
