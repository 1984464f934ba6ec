"""Inception blocks: four branches on the same input, whose outputs are concatenated."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

BATCH_NORM_EPS = 1e-3
"""What torchvision's batch norm adds to the variance here; the published weights were trained with it."""


class Conv(nn.Module):
    """A convolution, an optional batch norm, and a relu.

    Args:
        channels: of the input.
        width: channels of the output.
        kernel: side of the convolution; an odd one is padded so that stride 1 keeps rows and columns.
        stride: of the convolution.
        batch_norm: whether it is normalized; without it the convolution has a bias.
    """

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1, *, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=not batch_norm)
        self.bn = nn.BatchNorm2d(width, eps=BATCH_NORM_EPS) if batch_norm else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to ``(B, width, H / stride, W / stride)``."""
        x = self.conv(x)
        return F.relu(x if self.bn is None else self.bn(x), inplace=True)


class Inception(nn.Module):
    """1 x 1, 3 x 3 and 5 x 5 convolutions and a pool in parallel; a narrow 1 x 1 precedes the larger ones.

    Args:
        channels: of the input.
        width_1x1: channels of the 1 x 1 branch.
        widths_3x3: channels before and after the 3 x 3 convolution.
        widths_5x5: channels before and after the 5 x 5 convolution.
        width_pool: channels of the 1 x 1 convolution after the pool.
        batch_norm: whether every convolution is normalized.
        true_5x5: whether the 5 x 5 convolution really is 5 x 5. In torchvision it is 3 x 3 by mistake, and the
            published weights were trained with that.

    Source: Szegedy et al., "Going deeper with convolutions", 2015, figure 2b.

    >>> Inception(192, 64, (96, 128), (16, 32), 32, batch_norm=True)(torch.zeros(2, 192, 7, 7)).shape
    torch.Size([2, 256, 7, 7])
    """

    def __init__(
        self,
        channels: int,
        width_1x1: int,
        widths_3x3: tuple[int, int],
        widths_5x5: tuple[int, int],
        width_pool: int,
        *,
        batch_norm: bool,
        true_5x5: bool = False,
    ) -> None:
        super().__init__()

        def conv(channels: int, width: int, kernel: int) -> Conv:
            return Conv(channels, width, kernel, batch_norm=batch_norm)

        kernel = 5 if true_5x5 else 3
        self.branch1 = conv(channels, width_1x1, 1)
        self.branch2 = nn.Sequential(conv(channels, widths_3x3[0], 1), conv(*widths_3x3, 3))
        self.branch3 = nn.Sequential(conv(channels, widths_5x5[0], 1), conv(*widths_5x5, kernel))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(channels, width_pool, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to ``(B, C, H, W)`` with the channels of the four branches."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


def make_stages(make_block: Callable[..., Inception]) -> tuple[dict[str, Inception], ...]:
    """Make the nine blocks of the paper's table 1 by name, in the three stages between the pools."""
    return (
        {
            "inception3a": make_block(192, 64, (96, 128), (16, 32), 32),
            "inception3b": make_block(256, 128, (128, 192), (32, 96), 64),
        },
        {
            "inception4a": make_block(480, 192, (96, 208), (16, 48), 64),
            "inception4b": make_block(512, 160, (112, 224), (24, 64), 64),
            "inception4c": make_block(512, 128, (128, 256), (24, 64), 64),
            "inception4d": make_block(512, 112, (144, 288), (32, 64), 64),
            "inception4e": make_block(528, 256, (160, 320), (32, 128), 128),
        },
        {
            "inception5a": make_block(832, 256, (160, 320), (32, 128), 128),
            "inception5b": make_block(832, 384, (192, 384), (48, 128), 128),
        },
    )
