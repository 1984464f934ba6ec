"""Inception blocks: four ways through the same input side by side, and what they give put together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

EPS = 1e-3
"""What torchvision's batch norm adds to the variance here; the published weights were trained with it."""


class Conv(nn.Module):
    """Convolution, batch norm if wanted, relu.

    Args:
        channels: of the input.
        width: of the output.
        kernel: side of the convolution; an odd one is padded so that stride 1 keeps rows and columns.
        stride: of the convolution.
        batch_norm: whether it is normalised; without it the convolution has a bias.
    """

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1, *, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=not batch_norm)
        self.bn = nn.BatchNorm2d(width, eps=EPS) if batch_norm else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W)`` to ``(B, width, H / stride, W / stride)``."""
        x = self.conv(x)
        return F.relu(x if self.bn is None else self.bn(x), inplace=True)


class Inception(nn.Module):
    """1 x 1, 3 x 3 and 5 x 5 convolutions and a pool side by side, the wide ones behind a narrow 1 x 1.

    Args:
        channels: of the input.
        one: channels of the 1 x 1 branch.
        three: channels before and after the 3 x 3 convolution.
        five: channels before and after the 5 x 5 convolution.
        pooled: channels of the 1 x 1 convolution behind the pool.
        batch_norm: whether every convolution is normalised.
        true_five: whether that convolution really is 5 x 5. In torchvision it is 3 x 3, a slip of long ago that its
            published weights were trained with.

    Source: Szegedy et al., "Going deeper with convolutions", 2015, figure 2b.

    >>> Inception(192, 64, (96, 128), (16, 32), 32, batch_norm=True)(torch.zeros(2, 192, 7, 7)).shape
    torch.Size([2, 256, 7, 7])
    """

    def __init__(
        self,
        channels: int,
        one: int,
        three: tuple[int, int],
        five: tuple[int, int],
        pooled: int,
        *,
        batch_norm: bool,
        true_five: bool = False,
    ) -> None:
        super().__init__()

        def conv(channels: int, width: int, kernel: int) -> Conv:
            return Conv(channels, width, kernel, batch_norm=batch_norm)

        self.branch1 = conv(channels, one, 1)
        self.branch2 = nn.Sequential(conv(channels, three[0], 1), conv(three[0], three[1], 3))
        self.branch3 = nn.Sequential(conv(channels, five[0], 1), conv(five[0], five[1], 5 if true_five else 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(channels, pooled, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, channels, H, W)`` to ``(B, one + three[1] + five[1] + pooled, H, W)``."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


def stages(make: Callable[..., Inception]) -> tuple[dict[str, Inception], ...]:
    """The nine blocks of the paper's table 1 by name, in the three stages that pools part."""
    return (
        {
            "inception3a": make(192, 64, (96, 128), (16, 32), 32),
            "inception3b": make(256, 128, (128, 192), (32, 96), 64),
        },
        {
            "inception4a": make(480, 192, (96, 208), (16, 48), 64),
            "inception4b": make(512, 160, (112, 224), (24, 64), 64),
            "inception4c": make(512, 128, (128, 256), (24, 64), 64),
            "inception4d": make(512, 112, (144, 288), (32, 64), 64),
            "inception4e": make(528, 256, (160, 320), (32, 128), 128),
        },
        {
            "inception5a": make(832, 256, (160, 320), (32, 128), 128),
            "inception5b": make(832, 384, (192, 384), (48, 128), 128),
        },
    )
