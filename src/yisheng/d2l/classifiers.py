"""Classifiers of the book's object-oriented edition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from yisheng.d2l.modules import Module
from yisheng.d2l.networks import Residual


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


def init_cnn(module: nn.Module) -> None:
    """Fill the weight of a linear or convolution layer with uniform Xavier values.

    Yisheng's own: ``yisheng.train(init="xavier-uniform")``.
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
