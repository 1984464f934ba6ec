"""Models of the book's object-oriented edition: a network with its loss, its steps and its optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.d2l.hyper_parameters import HyperParameters
from yisheng.d2l.progress_board import ProgressBoard


class Module(nn.Module, HyperParameters):
    """A network that knows its loss, its steps and its optimizer; subclasses define ``loss`` and ``net``.

    Args:
        plot_train_per_epoch: points of the training's curve in an epoch.
        plot_valid_per_epoch: points of the validation's curve in an epoch.

    Yisheng's own: ``yisheng.train(model=net, loss=..., optimizer=...)`` takes plain networks.
    """

    net: nn.Module

    def __init__(self, plot_train_per_epoch: int = 2, plot_valid_per_epoch: int = 1) -> None:
        super().__init__()
        self.plot_train_per_epoch, self.plot_valid_per_epoch = plot_train_per_epoch, plot_valid_per_epoch
        self.board = ProgressBoard()

    def loss(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # for subclasses
        """Return the loss of a batch, as one number.

        Raises:
            UsageError: the subclass does not define it.
        """
        raise UsageError(
            Message("{type_name} has no loss", type_name=type(self).__name__),
            Message("define loss(self, y_hat, y) in the class"),
        )

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the outputs of ``self.net``.

        Raises:
            UsageError: the subclass defines neither ``net`` nor ``forward``.
        """
        if not hasattr(self, "net"):
            raise UsageError(
                Message("{type_name} has no net", type_name=type(self).__name__),
                Message("set self.net in __init__, or define forward"),
            )
        return self.net(X)

    def plot(self, key: str, value: Any, train: bool) -> None:
        """Add a point to the curve of a value.

        Args:
            key: name of the value.
            value: the value.
            train: whether it belongs to the training, else to the validation.

        Raises:
            UsageError: no trainer trains this model.
        """
        trainer = getattr(self, "trainer", None)
        if trainer is None:
            raise UsageError(
                Message("the model has no trainer"), Message("call Trainer(max_epochs=...).fit(model, data)")
            )
        self.board.xlabel = "epoch"
        if train:
            x, batches = trainer.train_batch_idx / trainer.num_train_batches, trainer.num_train_batches
            every_n = batches // self.plot_train_per_epoch
        else:
            x, every_n = trainer.epoch + 1, trainer.num_val_batches // self.plot_valid_per_epoch
        self.board.draw(x, value, f"{'train' if train else 'val'}_{key}", every_n=max(1, every_n))

    def training_step(self, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the loss of a training batch, and plot it."""
        value = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", value, train=True)
        return value

    def validation_step(self, batch: Sequence[torch.Tensor]) -> None:
        """Plot the loss of a validation batch."""
        self.plot("loss", self.loss(self(*batch[:-1]), batch[-1]), train=False)

    def configure_optimizers(self) -> Any:
        """Return the optimizer.

        Raises:
            UsageError: the subclass does not define it.
        """
        raise UsageError(
            Message("{type_name} has no optimizer", type_name=type(self).__name__),
            Message(
                "define configure_optimizers(self), which returns torch.optim.SGD(self.parameters(), lr=self.lr)",
            ),
        )

    def apply_init(self, inputs: Iterable[Any], init: Callable[[nn.Module], Any] | None = None) -> None:
        """Create the lazy layers by one forward pass, then initialize all layers.

        Args:
            inputs: arguments of the forward pass, such as ``[X]``.
            init: applied to every layer, such as `init_cnn`.
        """
        self.forward(*inputs)
        if init is not None:
            self.apply(init)


class LinearRegression(Module):
    """Linear regression with a layer of the library, mean squared error and SGD.

    Args:
        lr: learning rate.

    Yisheng's own: ``yisheng.train(model="linear", loss="mse", lr=0.03)``.
    """

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.net = nn.LazyLinear(1)

    def loss(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error."""
        return F.mse_loss(y_hat, y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD with the learning rate ``self.lr``."""
        return torch.optim.SGD(self.parameters(), self.lr)

    def get_w_b(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weight and bias."""
        weight, bias = self.net.parameters()
        return weight.data, bias.data


class SGD(HyperParameters):
    """Minibatch gradient descent from scratch.

    Args:
        params: tensors with gradients.
        lr: learning rate.

    Yisheng's own: ``yisheng explain sgd``.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float) -> None:
        self.params, self.lr = list(params), lr

    def step(self) -> None:
        """Subtract the gradients times the learning rate."""
        with torch.no_grad():
            for param in self.params:
                if param.grad is not None:
                    param -= self.lr * param.grad

    def zero_grad(self) -> None:
        """Set the gradients to zero."""
        for param in self.params:
            if param.grad is not None:
                param.grad.zero_()
