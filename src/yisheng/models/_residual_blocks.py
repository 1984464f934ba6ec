"""Residual blocks: layers whose output is added to their input.

Each block halves rows and columns if its stride is 2. Then, or if the number of channels changes, the shortcut of the
input is a 1 x 1 convolution of that stride.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

BlockFactory = Callable[[int, int, int], nn.Module]
"""Makes a block from the input channels, the channels inside, and the stride."""


def conv3x3(channels: int, width: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """Make a padded 3 x 3 convolution."""
    return nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=bias)


def conv1x1(channels: int, width: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """Make a 1 x 1 convolution."""
    return nn.Conv2d(channels, width, kernel_size=1, stride=stride, bias=bias)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions: y = relu(norm(conv(relu(norm(conv(x))))) + x).

    Args:
        channels: of the input.
        width: channels of the output.
        stride: of the first convolution and of the shortcut.
        textbook: convolutions have a bias, and the shortcut has no norm.
    """

    def __init__(self, channels: int, width: int, stride: int, *, textbook: bool = False) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, width, stride, bias=textbook)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(width, width, bias=textbook)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _make_shortcut(channels, width, stride, bias=textbook, norm=not textbook)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to ``(B, width, H / stride, W / stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class BottleneckBlock(nn.Module):
    """A 1 x 1 convolution to few channels, a 3 x 3 on them, a 1 x 1 to four times as many; relu after the sum.

    The stride is that of the 3 x 3 convolution, as in torchvision. In the paper it is the first one's, which skips
    three quarters of the input.

    Args:
        channels: of the input.
        width: channels of the 3 x 3 convolution; the output has four times as many.
        stride: of the 3 x 3 convolution and of the shortcut.
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
        self.downsample = _make_shortcut(channels, 4 * width, stride, bias=False, norm=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to ``(B, 4 * width, H / stride, W / stride)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class PreActivationBasicBlock(nn.Module):
    """`BasicBlock` with norm and relu before each convolution: y = x + conv(relu(norm(conv(relu(norm(x)))))).

    The path from block to block has no activation. A shortcut that is a convolution takes the first relu's output.

    Source: He et al., "Identity mappings in deep residual networks", 2016, section 4 and figure 4e.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = conv3x3(channels, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.downsample = _make_shortcut(channels, width, stride, bias=False, norm=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to ``(B, width, H / stride, W / stride)``."""
        y = self.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.bn2(y)))
        y += shortcut
        return y


class PreActivationBottleneckBlock(nn.Module):
    """`BottleneckBlock` with norm and relu before each convolution, as in `PreActivationBasicBlock`."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = conv1x1(channels, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, 4 * width)
        self.downsample = _make_shortcut(channels, 4 * width, stride, bias=False, norm=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to ``(B, 4 * width, H / stride, W / stride)``."""
        y = self.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.bn2(y)))
        y = self.conv3(self.relu(self.bn3(y)))
        y += shortcut
        return y


def _make_shortcut(channels: int, width: int, stride: int, *, bias: bool, norm: bool) -> nn.Sequential | None:
    if stride == 1 and channels == width:
        return None
    layers: list[nn.Module] = [conv1x1(channels, width, stride, bias=bias)]
    return nn.Sequential(*layers, nn.BatchNorm2d(width)) if norm else nn.Sequential(*layers)
