"""Networks that `benchmarks.process_kills` trains: small, and with parts whose state a checkpoint must hold."""

from __future__ import annotations

import torch
from torch import nn


class DropoutLeNet(nn.Sequential):
    """LeNet for images of 8 x 8 with dropout before its linear layers: ten logits ``(B, 10)``."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Dropout(0.3), nn.Linear(64, 120), nn.ReLU()),
            *(nn.Dropout(0.3), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
        )


class ResidualBlock(nn.Module):
    """Two convolutions with batch norm, and the input added: ``(B, C, H, W) -> (B, C, H, W)``.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return relu(x + residual(x))."""
        return torch.relu(x + self.residual(x))


class SmallResNet(nn.Sequential):
    """A ResNet of two blocks of 8 channels for images of 8 x 8: ten logits ``(B, 10)``."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(ResidualBlock(8), ResidualBlock(8)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)),
        )
