"""Models of the book's object-oriented edition: a network with its loss, its steps and its optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from yisheng.core.errors import UsageError
from yisheng.d2l.hyper_parameters import HyperParameters
from yisheng.d2l.networks import Residual
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
        raise UsageError(f"{type(self).__name__} has no loss", "define loss(self, y_hat, y) in the class")

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the outputs of ``self.net``.

        Raises:
            UsageError: the subclass defines neither ``net`` nor ``forward``.
        """
        if not hasattr(self, "net"):
            raise UsageError(f"{type(self).__name__} has no net", "set self.net in __init__, or define forward")
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
            raise UsageError("the model has no trainer", "call Trainer(max_epochs=...).fit(model, data)")
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
            f"{type(self).__name__} has no optimizer",
            "define configure_optimizers(self), which returns torch.optim.SGD(self.parameters(), lr=self.lr)",
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


class Classifier(Module):
    """A model with cross-entropy loss, accuracy, and SGD with the learning rate ``self.lr``.

    Yisheng's own: ``yisheng.train(model=net, loss="cross-entropy", optimizer="sgd", lr=0.1)``.
    """

    lr: float

    def validation_step(self, batch: Sequence[torch.Tensor]) -> None:
        """Plot loss and accuracy of a validation batch."""
        outputs = self(*batch[:-1])
        self.plot("loss", self.loss(outputs, batch[-1]), train=False)
        self.plot("acc", self.accuracy(outputs, batch[-1]), train=False)

    def accuracy(self, Y_hat: torch.Tensor, Y: torch.Tensor, averaged: bool = True) -> torch.Tensor:
        """Return the fraction of right predictions.

        Args:
            Y_hat: a value for each class in the last axis.
            Y: true classes.
            averaged: return the fraction, else 1 or 0 for each row.
        """
        hits = (Y_hat.reshape(-1, Y_hat.shape[-1]).argmax(dim=1) == Y.reshape(-1)).float()
        return hits.mean() if averaged else hits

    def loss(self, Y_hat: torch.Tensor, Y: torch.Tensor, averaged: bool = True) -> torch.Tensor:
        """Return the cross-entropy.

        Args:
            Y_hat: logits, the classes in the last axis.
            Y: true classes.
            averaged: return the mean, else a value for each row.
        """
        logits = Y_hat.reshape(-1, Y_hat.shape[-1])
        return F.cross_entropy(logits, Y.reshape(-1), reduction="mean" if averaged else "none")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD with the learning rate ``self.lr``."""
        return torch.optim.SGD(self.parameters(), lr=self.lr)

    def layer_summary(self, X_shape: Sequence[int]) -> None:
        """Print the shape of each layer's output.

        Args:
            X_shape: shape of an input batch.
        """
        X = torch.randn(*X_shape)
        for layer in self.net.children():
            X = layer(X)
            print(layer.__class__.__name__, "output shape:\t", X.shape)


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
        return self.net.weight.data, self.net.bias.data


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


def init_cnn(module: nn.Module) -> None:
    """Fill the weight of a linear or convolution layer with uniform Xavier values.

    Yisheng's own: ``yisheng.train(init="xavier")``.
    """
    if type(module) in (nn.Linear, nn.Conv2d):
        nn.init.xavier_uniform_(module.get_parameter("weight"))


class LeNet(Classifier):
    """LeNet-5 with sigmoid and average pooling.

    Args:
        lr: learning rate.
        num_classes: outputs.

    Yisheng's own: ``yisheng.train(model="lenet")``.
    """

    def __init__(self, lr: float = 0.1, num_classes: int = 10) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.net = nn.Sequential(
            *(nn.LazyConv2d(6, kernel_size=5, padding=2), nn.Sigmoid(), nn.AvgPool2d(kernel_size=2, stride=2)),
            *(nn.LazyConv2d(16, kernel_size=5), nn.Sigmoid(), nn.AvgPool2d(kernel_size=2, stride=2), nn.Flatten()),
            *(nn.LazyLinear(120), nn.Sigmoid(), nn.LazyLinear(84), nn.Sigmoid(), nn.LazyLinear(num_classes)),
        )


class ResNet(Classifier):
    """A ResNet of blocks of two convolutions, for images of 96 pixels or more.

    Args:
        arch: for each stage its number of blocks and its channels.
        lr: learning rate.
        num_classes: outputs.

    Yisheng's own: ``yisheng.train(model="resnet18", style="textbook")``.
    """

    def __init__(self, arch: Sequence[tuple[int, int]], lr: float = 0.1, num_classes: int = 10) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        stem = (nn.LazyConv2d(64, kernel_size=7, stride=2, padding=3), nn.LazyBatchNorm2d(), nn.ReLU())
        self.net = nn.Sequential(nn.Sequential(*stem, nn.MaxPool2d(kernel_size=3, stride=2, padding=1)))
        channels = 64
        for stage, (num_residuals, width) in enumerate(arch):
            halves = stage > 0 or width != channels
            first = Residual(channels, width, use_1x1conv=halves, strides=2 if stage else 1)
            self.net.append(nn.Sequential(first, *(Residual(width, width) for _ in range(num_residuals - 1))))
            channels = width
        self.net.append(nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LazyLinear(num_classes)))
        self.net.apply(init_cnn)
