"""Networks of the book's chapters on convolutions."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


def corr2d(X: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Return the two-dimensional cross-correlation: Y[i, j] = sum of X[i:i+h, j:j+w] * K.

    Args:
        X: ``(H, W)``.
        K: kernel ``(h, w)``.

    Yisheng's own: ``yisheng explain cross-correlation``.

    >>> corr2d(torch.arange(9.0).reshape(3, 3), torch.arange(4.0).reshape(2, 2)).tolist()
    [[19.0, 25.0], [37.0, 43.0]]
    """
    h, w = K.shape
    Y = X.new_zeros((X.shape[0] - h + 1, X.shape[1] - w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


class Residual(nn.Module):
    """A residual block: two convolutions of 3 x 3 with batch norm, added to their input.

    Args:
        input_channels: channels of the input.
        num_channels: channels of the output.
        use_1x1conv: give the input a convolution of 1 x 1, which another shape of the output requires.
        strides: of the first convolution and of the 1 x 1.

    Yisheng's own: ``yisheng.train(model="resnet18", style="textbook")``; ``yisheng explain residual-block``.

    >>> Residual(3, 6, use_1x1conv=True, strides=2)(torch.rand(4, 3, 6, 6)).shape
    torch.Size([4, 6, 3, 3])
    """

    def __init__(self, input_channels: int, num_channels: int, use_1x1conv: bool = False, strides: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(input_channels, num_channels, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.Conv2d(num_channels, num_channels, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(input_channels, num_channels, kernel_size=1, stride=strides) if use_1x1conv else None
        self.bn1 = nn.BatchNorm2d(num_channels)
        self.bn2 = nn.BatchNorm2d(num_channels)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Map ``(B, input_channels, H, W)`` to ``(B, num_channels, H / strides, W / strides)``."""
        Y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(X)))))
        return F.relu(Y + (X if self.conv3 is None else self.conv3(X)))


def resnet18(num_classes: int, in_channels: int = 1) -> nn.Sequential:
    """Build the book's ResNet-18 for small images: a first convolution of 3 x 3 without stride, and no pool.

    Args:
        num_classes: outputs.
        in_channels: channels of the images.

    Yisheng's own: ``yisheng.train(model="resnet18", style="small")``.

    >>> resnet18(10, 3)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["0"] = nn.Conv2d(in_channels, 64, kernel_size=3, stride=1, padding=1)
    layers["1"] = nn.BatchNorm2d(64)
    layers["2"] = nn.ReLU()
    channels = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        halves = stage > 1
        first = Residual(channels, width, use_1x1conv=halves, strides=2 if halves else 1)
        layers[f"resnet_block{stage}"] = nn.Sequential(first, Residual(width, width))
        channels = width
    layers["global_avg_pool"] = nn.AdaptiveAvgPool2d((1, 1))
    layers["fc"] = nn.Sequential(nn.Flatten(), nn.Linear(512, num_classes))
    return nn.Sequential(layers)
