"""Residual blocks: what a block adds to its input is what it has to learn.

Each block halves rows and columns if its stride is 2, and then, or where the channels change, the input takes a
short cut through a 1 x 1 convolution of that stride.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Block = Callable[[int, int, int], nn.Module]
"""Makes a block: input channels, channels inside, stride."""


def conv3x3(channels: int, width: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """A padded 3 x 3 convolution."""
    return nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=bias)


def conv1x1(channels: int, width: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """A 1 x 1 convolution."""
    return nn.Conv2d(channels, width, kernel_size=1, stride=stride, bias=bias)


class Basic(nn.Module):
    """Two 3 x 3 convolutions: y = relu(norm(conv(relu(norm(conv(x))))) + x).

    Args:
        channels: of the input.
        width: of the output.
        stride: of the first convolution and of the short cut.
        textbook: convolutions have a bias, and the short cut has no norm.
    """

    def __init__(self, channels: int, width: int, stride: int, *, textbook: bool = False) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, width, stride, bias=textbook)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(width, width, bias=textbook)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride, bias=textbook, norm=not textbook)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W)`` to ``(B, width, H / stride, W / stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class Bottleneck(nn.Module):
    """1 x 1 to few channels, 3 x 3 on them, 1 x 1 to four times as many; relu after the sum.

    The stride is the 3 x 3 convolution's, as in torchvision and against the paper, where it is the first one's
    and three quarters of the input are never looked at.

    Args:
        channels: of the input.
        width: of the 3 x 3 convolution; the output has four times as many.
        stride: of the 3 x 3 convolution and of the short cut.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv1x1(channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, 4 * width)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, 4 * width, stride, bias=False, norm=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W)`` to ``(B, 4 * width, H / stride, W / stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class PreBasic(nn.Module):
    """`Basic` with norm and relu before each convolution: y = x + conv(relu(norm(conv(relu(norm(x)))))).

    Nothing bends what passes from block to block. A short cut that is a convolution takes the first relu's output.

    Source: He et al., "Identity mappings in deep residual networks", 2016, section 4 and figure 4e.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = conv3x3(channels, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.downsample = _shortcut(channels, width, stride, bias=False, norm=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W)`` to ``(B, width, H / stride, W / stride)``."""
        y = self.relu(self.bn1(x))
        passed = x if self.downsample is None else self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.bn2(y)))
        y += passed
        return y


class PreBottleneck(nn.Module):
    """`Bottleneck` with norm and relu before each convolution, as in `PreBasic`."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = conv1x1(channels, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, 4 * width)
        self.downsample = _shortcut(channels, 4 * width, stride, bias=False, norm=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W)`` to ``(B, 4 * width, H / stride, W / stride)``."""
        y = self.relu(self.bn1(x))
        passed = x if self.downsample is None else self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.bn2(y)))
        y = self.conv3(self.relu(self.bn3(y)))
        y += passed
        return y


def _shortcut(channels: int, width: int, stride: int, *, bias: bool, norm: bool) -> nn.Sequential | None:
    if stride == 1 and channels == width:
        return None
    layers: list[nn.Module] = [conv1x1(channels, width, stride, bias=bias)]
    return nn.Sequential(*layers, nn.BatchNorm2d(width)) if norm else nn.Sequential(*layers)
